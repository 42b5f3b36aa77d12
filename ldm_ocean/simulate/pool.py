"""Worker processes for Veros: one core each, gone with their parent."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor


def workers(count: int) -> ProcessPoolExecutor:
    """A pool of ``count`` spawned processes, in which XLA uses one thread each."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def the_model():
    """One model a process: compiling takes half a minute and serves every setting."""
    if not hasattr(the_model, "instance"):
        from .model import Model

        the_model.instance = Model()
    return the_model.instance


def _end_with_parent():
    """A worker whose parent was killed would finish its task beside the next campaign, then wait for ever."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
