#!/bin/bash
# Several nodes, one process for each GPU:   sbatch docs/slurm/many-nodes.sh train_vae.py experiment=dino
# Five minutes before its time is over every process is told; it saves, leaves with code 75, and the job is queued again.
#SBATCH --job-name=ldm_ocean
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append

trap : TERM # a preempted script waits for its processes
. .venv/bin/activate
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK # srun does not ask the job for it
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
# Code 75 of one process must not end the others, which are leaving too; who is there a minute later is ended.
srun --kill-on-bad-exit=0 --wait=60 bash -c \
    'RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS exec python "$@"' _ "$@"
code=$?
if [ $code -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi # stopped after a checkpoint: go on
exit $code
