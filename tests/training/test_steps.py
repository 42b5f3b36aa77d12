"""What one step does to the weights, and which weights a run publishes."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from ldm_ocean.training import engine
from ldm_ocean.training.ema import EMA

from .test_engine import CONFIG, Line

EVERY_STEP = replace(CONFIG, samples=8, global_batch_size=8, validate_every=8, checkpoint_every=8, lr=1e-3)


def flat(tensors) -> torch.Tensor:
    return torch.cat([t.detach().flatten() for t in tensors]).clone()


class Steep(Line):
    """Its loss, and so its gradient, is ``slope`` times as large."""

    slope = 1.0

    def forward(self, batch):
        return self.slope * super().forward(batch)


def gradients(monkeypatch) -> list[torch.Tensor]:
    """What the optimiser is given, step by step."""
    seen, step = [], torch.optim.AdamW.step

    def watched(optimiser, *arguments, **options):
        seen.append(flat(p.grad for group in optimiser.param_groups for p in group["params"]))
        return step(optimiser, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    return seen


def of_the_whole_batch(task: Line) -> tuple[float, torch.Tensor]:
    """Loss and gradient of a run's first eight samples at once."""
    order = engine.Order(task.size, EVERY_STEP.seed)
    loss = task(task.batch([order[p] for p in range(8)], range(8))).mean()
    return loss.item(), flat(torch.autograd.grad(loss, list(task.model.parameters())))


@pytest.mark.parametrize("at_once", [8, 4, 3, 1])
def test_the_gradient_of_a_step_is_that_of_the_mean_loss_of_the_global_batch_however_it_is_cut(
    at_once, tmp_path, monkeypatch
):
    loss, expected = of_the_whole_batch(Line())
    seen = gradients(monkeypatch)
    engine.fit(Line(), replace(EVERY_STEP, device_batch_size=at_once, clip=1e6), tmp_path)
    (found,) = seen
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    first = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert first["split"] == "train" and first["loss"] == pytest.approx(loss, rel=1e-5)


def test_a_huge_gradient_is_clipped_to_its_direction_and_a_small_one_is_left_alone(tmp_path, monkeypatch):
    direction = of_the_whole_batch(Line())[1]
    seen, steep = gradients(monkeypatch), Steep()
    steep.slope = 1e8
    engine.fit(steep, replace(EVERY_STEP, clip=0.5), tmp_path / "steep")
    engine.fit(Line(), replace(EVERY_STEP, clip=2 * float(direction.norm())), tmp_path / "flat")
    torch.testing.assert_close(seen[0], 0.5 * direction / direction.norm(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(seen[1], direction, atol=1e-6, rtol=1e-5)


def test_each_step_starts_from_a_gradient_of_zero(tmp_path, monkeypatch):
    """Without a step (a learning rate of 0) the same samples give the same gradient again."""
    seen, task = gradients(monkeypatch), Line()
    task.size, task.validate = 8, lambda: {"loss": 1.0}  # every step sees all samples
    task.batch = lambda indices, positions: Line.batch(task, sorted(indices), range(8))
    engine.fit(task, replace(EVERY_STEP, samples=24, device_batch_size=8, lr=0.0, clip=1e6), tmp_path)
    assert len(seen) == 3 and all(torch.allclose(g, seen[0], atol=1e-6) for g in seen)


def test_what_is_validated_and_published_is_the_average_and_not_the_raw_weights(tmp_path, monkeypatch):
    task, published, judged = Line(), [], []
    expected, step = flat(task.model.parameters()), torch.optim.AdamW.step

    def watched(optimiser, *arguments, **options):
        nonlocal expected
        step(optimiser, *arguments, **options)
        n = len(task.seen) // CONFIG.global_batch_size
        beta = min(0.9, (1 + n) / (10 + n))
        expected = beta * expected + (1 - beta) * flat(task.model.parameters())

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    task.publish = lambda folder: published.append(flat(task.model.parameters()))
    validate = task.validate
    task.validate = lambda: judged.append(flat(task.model.parameters())) or validate()
    engine.fit(task, replace(CONFIG, samples=20, ema=0.9, lr=0.05), tmp_path)
    folder = tmp_path / "checkpoints" / f"{20:010d}"
    names = [name for name, _ in task.model.named_parameters()]
    average, raw = (load_file(folder / f"{part}.safetensors") for part in ("ema", "model"))
    average, raw = (flat(tensors[name] for name in names) for tensors in (average, raw))
    torch.testing.assert_close(average, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(average, raw, atol=1e-3)
    assert torch.equal(published[-1], average) and torch.equal(judged[-1], average)
    assert torch.equal(flat(task.model.parameters()), raw)  # and training goes on from the raw ones


def test_only_a_better_average_is_published(tmp_path):
    task, published, losses = Line(), [], iter([3.0, 2.0, float("nan"), 2.5, 1.0])
    task.publish = lambda folder: published.append(len(task.seen))
    task.validate = lambda: {"loss": next(losses)}
    engine.fit(task, replace(CONFIG, samples=100), tmp_path)
    assert published == [20, 40, 100]


def test_an_average_follows_its_recurrence_from_the_first_step_on():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    ema, expected = EMA(model, decay=0.25), 0.0
    for n in range(1, 6):
        torch.nn.init.constant_(model.weight, n)
        ema.update(model)
        beta = min(0.25, (1 + n) / (10 + n))
        expected = beta * expected + (1 - beta) * n
        assert float(ema.average["weight"]) == pytest.approx(expected, rel=1e-6)


def test_the_rate_of_a_step_is_that_of_its_middle_sample(tmp_path, monkeypatch):
    rates, step = [], torch.optim.AdamW.step

    def watched(optimiser, *arguments, **options):
        rates.append(optimiser.param_groups[0]["lr"])
        return step(optimiser, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    engine.fit(Line(), CONFIG, tmp_path)
    assert rates == pytest.approx([engine.learning_rate(s + 2, CONFIG) for s in range(0, 80, 4)])


def test_a_batch_that_is_cut_shows_the_same_samples_at_the_same_positions(tmp_path):
    shown = {}
    for at_once in (4, 1):
        task, seen = Line(), []
        task.validate = lambda: {"loss": 1.0}
        task.batch = lambda indices, positions, task=task, seen=seen: (
            seen.extend(zip(indices, positions, strict=True)) or Line.batch(task, indices, positions)
        )
        engine.fit(task, replace(CONFIG, device_batch_size=at_once), tmp_path / str(at_once))
        shown[at_once] = seen
    assert shown[4] == shown[1] and [p for _, p in shown[4]] == list(range(80))
