#!/bin/bash
# One GPU:   sbatch docs/slurm/one-gpu.sh train_vae.py experiment=dino
# Five minutes before its time is over every process is told; it saves, leaves with code 75, and the job is queued again.
#SBATCH --job-name=ldm_ocean
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append

trap : TERM # a preempted script waits for its processes
. .venv/bin/activate
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK # srun does not ask the job for it
srun python "$@"
code=$?
if [ $code -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi # stopped after a checkpoint: go on
exit $code
