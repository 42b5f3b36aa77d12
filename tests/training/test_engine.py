import contextlib
import os
import signal
import time
from dataclasses import replace

import pytest
import torch
from accelerate.utils import DistributedType
from torch import nn

from ldm_ocean.errors import UserError
from ldm_ocean.generative.sampling import generator
from ldm_ocean.training import checkpoint, engine, stop
from ldm_ocean.training.config import Train
from ldm_ocean.training.stop import EXIT_REQUEUE, TOLD, requeue_when_told


class Line(nn.Module):
    """Fit y = 2x from 13 noisy points; the noise of a sample depends on its position alone."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
        self.size, self.seen = 13, []

    def batch(self, indices, positions):
        self.seen += indices
        noise = torch.stack([torch.randn((), generator=generator(0, p)) for p in positions])
        x = torch.tensor(indices, dtype=torch.float32) / 13
        return {"x": x[:, None], "y": (2 * x + 0.01 * noise)[:, None]}

    def forward(self, batch):
        return (self.model(batch["x"]) - batch["y"]).square().mean(1)

    def validate(self):
        return {"loss": float(self(self.batch(list(range(13)), range(13))).mean())}

    def figures(self):
        return {}

    def publish(self, folder):
        folder.mkdir(parents=True, exist_ok=True)


CONFIG = Train(
    samples=80, global_batch_size=4, device_batch_size=2, lr=0.01, validate_every=20, checkpoint_every=20, device="cpu"
)


def test_a_signal_writes_a_checkpoint_asks_to_be_requeued_and_nothing_is_lost(tmp_path):
    whole, told = Line(), Line()
    engine.fit(whole, CONFIG, tmp_path / "whole")

    def signal_at_52(indices, positions, batch=told.batch):
        if positions.start == 52:
            os.kill(os.getpid(), signal.SIGTERM)
        return batch(indices, positions)

    told.batch = signal_at_52
    with pytest.raises(SystemExit) as stopped:
        engine.fit(told, CONFIG, tmp_path / "told")
    assert stopped.value.code == EXIT_REQUEUE
    assert checkpoint.complete(tmp_path / "told" / "checkpoints")[-1].name == "0000000056"
    again = Line()
    engine.fit(again, CONFIG, tmp_path / "told")
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_process_whose_launcher_died_before_training_does_not_train_for_ever(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")  # as a launcher sets it
    monkeypatch.setattr(os, "getppid", lambda: -1)  # nobody's: 1 it may have been from the beginning
    with pytest.raises(SystemExit) as stopped:
        engine.fit(Line(), CONFIG, tmp_path)
    assert stopped.value.code == EXIT_REQUEUE
    assert checkpoint.complete(tmp_path / "checkpoints")[-1].name == "0000000004"


def test_ctrl_c_in_a_callback_that_swallows_exceptions_is_not_lost(tmp_path, capfd):
    """Python calls finalisers wherever it likes, and prints what they raise, no more."""

    class Finalised:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)

    told = Line()
    batch = told.batch

    def finalise_at_52(indices, positions):
        if positions.start == 52:
            Finalised()
        return batch(indices, positions)

    told.batch = finalise_at_52
    with pytest.raises(SystemExit) as stopped:
        engine.fit(told, CONFIG, tmp_path)
    assert stopped.value.code == EXIT_REQUEUE
    assert checkpoint.newest(tmp_path / "checkpoints").name == "0000000056"
    (line,) = [x for x in capfd.readouterr().err.splitlines() if "SIGINT" in x]
    assert line.startswith("SIGINT: a checkpoint at the next step") and f"exit code {EXIT_REQUEUE}" in line


def test_an_exit_that_a_callback_swallowed_before_training_is_taken_up_by_its_first_step(tmp_path):
    before = [signal.getsignal(name) for name in TOLD]
    requeue_when_told()
    with contextlib.suppress(SystemExit):  # as a callback would
        signal.raise_signal(signal.SIGINT)
    for name, handler in zip(TOLD, before, strict=True):
        signal.signal(name, handler)
    with pytest.raises(SystemExit) as stopped:
        engine.fit(Line(), CONFIG, tmp_path / "told")
    assert stopped.value.code == EXIT_REQUEUE
    assert [p.name for p in checkpoint.complete(tmp_path / "told" / "checkpoints")] == ["0000000004"]
    engine.fit(Line(), CONFIG, tmp_path / "told")


def in_a_child(act) -> int:
    """Exit code of a fork that does ``act``, negative for a signal."""
    child = os.fork()
    if not child:
        with contextlib.suppress(SystemExit):
            act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(("apart", "ends"), [(1.1, -signal.SIGINT), (0.0, 0)])
def test_the_second_ctrl_c_ends_at_once_unless_a_launcher_passed_on_the_first(apart, ends, tmp_path):
    task = Line()
    validate = task.validate

    def told_twice():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(apart)
        os.kill(os.getpid(), signal.SIGINT)
        return validate()

    task.validate = told_twice
    assert in_a_child(lambda: engine.fit(task, CONFIG, tmp_path)) == ends
    assert bool(checkpoint.newest(tmp_path / "checkpoints")) == (ends == 0)


def test_how_long_all_steps_will_take_is_said_after_the_first_few(tmp_path, capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(engine.time, "monotonic", lambda: now[0])
    task = Line()
    batch = task.batch

    def slow(indices, positions):
        now[0] += 50.0 if positions.start == 0 else 1.5  # for each of two micro-batches; the first prepares
        return batch(indices, positions)

    task.batch = slow
    engine.fit(task, CONFIG, tmp_path)
    assert "20 steps of 3 s: 1 minutes, and validation" in capsys.readouterr().err


def test_until_training_begins_a_signal_asks_to_be_requeued_at_once():
    before = [signal.getsignal(name) for name in TOLD]
    requeue_when_told()
    for name, handler in zip(TOLD, before, strict=True):
        with pytest.raises(SystemExit) as stopped:
            signal.raise_signal(name)
        signal.signal(name, handler)
        assert stopped.value.code == EXIT_REQUEUE
    stop._told.clear()


def test_after_training_signals_are_as_before(tmp_path):
    before = [signal.getsignal(s) for s in TOLD]
    engine.fit(Line(), CONFIG, tmp_path)
    assert [signal.getsignal(s) for s in TOLD] == before


def test_every_sample_comes_once_an_epoch_in_an_order_that_the_seed_gives():
    order = engine.Order(13, seed=3)
    epochs = [[order[13 * e + i] for i in range(13)] for e in range(3)]
    assert all(sorted(e) == list(range(13)) for e in epochs)
    assert epochs[0] != epochs[1]
    assert [engine.Order(13, seed=3)[p] for p in range(13, 26)] == epochs[1]


def test_the_learning_rate_follows_samples_not_steps():
    config = replace(CONFIG, samples=1000, warmup=0.1, lr=1.0)
    assert engine.learning_rate(50, config) == pytest.approx(0.5)
    assert engine.learning_rate(100, config) == pytest.approx(1.0)
    assert engine.learning_rate(550, config) == pytest.approx(0.5)
    assert engine.learning_rate(1000, config) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_global_batch_is_the_same_however_many_processes_share_it(processes):
    config = replace(CONFIG, global_batch_size=24, device_batch_size=5)
    micro, accumulation = engine.share_of_batch(config, processes)
    assert processes * micro * accumulation == 24
    assert micro <= 5


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(UserError, match="not divisible by 3"):
        engine.share_of_batch(CONFIG, 3)


def test_only_the_newest_checkpoints_are_kept_and_none_is_half_written(tmp_path):
    engine.fit(Line(), CONFIG, tmp_path)
    assert [p.name for p in checkpoint.complete(tmp_path / "checkpoints")] == ["0000000060", "0000000080"]
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_a_checkpoint_of_another_shape_is_refused_politely(tmp_path):
    engine.fit(Line(), CONFIG, tmp_path)
    other = Line()
    other.model = nn.Linear(1, 1)
    with pytest.raises(UserError, match="does not fit this config"):
        engine.fit(other, CONFIG, tmp_path)


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED"])
def test_a_launcher_that_would_shard_the_network_is_refused_before_the_first_step(kind, tmp_path, monkeypatch):
    """Shards would be averaged, saved and validated one by one, as if each were the whole."""
    monkeypatch.setattr(engine.Accelerator, "distributed_type", property(lambda self: DistributedType(kind)))
    task = Line()
    with pytest.raises(UserError, match=f"{kind} is not accepted"):
        engine.fit(task, CONFIG, tmp_path / "run")
    assert not task.seen and not (tmp_path / "run").exists()
