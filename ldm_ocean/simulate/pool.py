"""Worker processes for Veros: one core each, gone with their parent."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import cache

from .ocean import Ocean

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
PRECISION = "LDM_OCEAN_SIMULATE_FLOAT"  # read by the model when it is first imported: Veros knows one a process


def workers(count: int, precision: str = "float64") -> ProcessPoolExecutor:
    """A pool of ``count`` spawned processes, in which XLA uses one thread each and Veros ``precision``."""
    os.environ[PRECISION] = precision
    os.environ["XLA_FLAGS"] = ONE_THREAD
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(context.Value("i", 0),))


@cache
def the_model(ocean: Ocean):
    """One model of an ocean a process: compiling takes half a minute and serves every setting."""
    from .model import Model

    return Model(ocean)


def _begin(begun) -> None:
    """A core for each worker, XLA's threads would wait for each other on all; and its end with its parent's."""
    with begun.get_lock():
        number, begun.value = begun.value, begun.value + 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with(parent) -> None:
    """A worker whose parent was killed would finish its task beside the next campaign, then wait for ever."""
    parent.join()
    os._exit(1)
