"""Scores count every sample once, whatever the batches, and however few samples the last process has."""

import itertools
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.metrics import EnsembleScore, StateError

from ..metrics.test_metrics import SHAPE, accumulate, draw, same

pytestmark = pytest.mark.reliability("R20")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True))
def test_scores_are_the_same_whatever_the_batches_and_ranks(cuts):
    w = torch.from_numpy(np.random.default_rng(0).uniform(0, 2, (2, *SHAPE)))
    ensemble, truth = torch.from_numpy(draw(3, 7, 2, *SHAPE)), torch.from_numpy(draw(7, 2, *SHAPE, seed=1))
    bounds = [0, *sorted(cuts), 7]
    parts = [slice(a, b) for a, b in itertools.pairwise(bounds)]
    for new, arguments in (
        (lambda: EnsembleScore(w), lambda s: (ensemble[:, s], truth[s])),
        (lambda: StateError(w, truth.mean(0)), lambda s: (ensemble[0, s], truth[s])),
    ):
        whole = accumulate(new(), [arguments(slice(None))]).compute()
        same(whole, accumulate(new(), [arguments(p) for p in parts]).compute())
        ranks = [accumulate(new(), [arguments(p)]) for p in parts]
        for other in ranks[1:]:
            ranks[0].merge_state(other)
        same(whole, ranks[0].compute())
        assert int(ranks[0].count) == 7


GLOO = """
import sys, torch, torch.distributed as dist
from ldm_ocean.metrics import EnsembleScore
rank, size, port = map(int, sys.argv[1:])
torch.manual_seed(0)
volumes, ensemble, truth = torch.rand(2, 3, 4, 5), torch.randn(3, 7, 2, 3, 4, 5), torch.randn(7, 2, 3, 4, 5)
whole = EnsembleScore(volumes)
whole.update(ensemble, truth)
whole = whole.compute()
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
metric = EnsembleScore(volumes)
for mine in range(rank, 7, size):  # 7 = 4 + 3 = 3 + 2 + 2
    metric.update(ensemble[:, mine : mine + 1], truth[mine : mine + 1])
assert int(metric.count) == len(range(rank, 7, size))
with metric.sync_context():
    assert int(metric.count) == 7
for name, value in metric.compute().items():
    torch.testing.assert_close(value, whole[name], rtol=1e-12, atol=1e-14)
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_real_processes_with_uneven_shares_agree_with_one(processes):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-c", GLOO]
    ranks = [str(r) for r in range(processes)]
    run = [subprocess.Popen([*command, r, str(processes), str(port)], env=os.environ) for r in ranks]
    assert [p.wait(timeout=120) for p in run] == [0] * processes
