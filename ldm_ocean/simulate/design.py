"""Which settings to run: scrambled Sobol over an ocean's ranges, edge settings, one-at-a-time sweeps; a grid; or twins.

Where settings are drawn, each but the first starts from the end of its nearest neighbour among those before it (a
minimum spanning tree in scaled parameter space, Prim 1957), so the plan is the same however many processes share the
work.
"""

import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.stats import qmc

from ..errors import UserError
from ..ocean.parameters import ParameterScale
from .ocean import Ocean

SWEEP = (0.1, 0.3, 0.9)  # with the centre (0.5): four points along each axis
DRAWN = 128  # points of the sequence, a power of two: the most settings beside centre and sweeps


@dataclass(frozen=True)
class Setting:
    """One simulation: its place in the design, parameters, noise seed, and the setting it starts from (or rest)."""

    name: str
    split: str  # train, validation, test, edge, sweep, or centre (the spin-up from rest)
    parameters: dict[str, float]
    seed: int
    parent: str | None

    def record(self) -> dict:
        """For the manifest."""
        return asdict(self)


def parameters_at(ocean: Ocean, unit: np.ndarray) -> dict[str, float]:
    """The parameters at a point of the unit cube."""
    values = ParameterScale(*np.transpose(list(ocean.ranges.values()))).physical(unit)
    return dict(zip(ocean.ranges, values.tolist(), strict=True))


def design(ocean: Ocean, counts: dict[str, int] | None = None, seed: int = 0) -> list[Setting]:
    """All settings in the order in which they can run; ``counts`` by split, of train, validation, test and edge."""
    if ocean.points:
        return _full_grid(ocean, seed)
    counts, axes = counts or ocean.splits, len(ocean.ranges)
    points, labels = [np.full(axes, 0.5)], [("centre", "centre")]
    sobol = qmc.Sobol(axes, scramble=True, seed=seed)
    drawn = 0.05 + 0.9 * sobol.random(DRAWN)  # the outermost 5 % belong to the edge settings
    splits = [split for split, count in counts.items() for _ in range(count)]
    for i, split in enumerate(splits):
        unit, number = drawn[i].copy(), splits[:i].count(split)
        if split == "edge":
            axis = number % axes
            unit[axis] = float(unit[axis] > 0.5)
        points.append(unit)
        labels.append((f"{split}-{number:02d}", split))
    for axis, name in enumerate(ocean.ranges if ocean.sweeps and counts["train"] > 1 else ()):
        for value in SWEEP:
            unit = np.full(axes, 0.5)
            unit[axis] = value
            points.append(unit)
            labels.append((f"sweep-{name}-{round(100 * value):02d}", "sweep"))
    return _spanning_tree(ocean, np.array(points), labels, seed)


def twins(ocean: Ocean, folder: Path, counts: dict[str, int]) -> list[Setting]:
    """The first ``counts`` settings by split of the data set in ``folder``, each to start from its own state there."""
    try:
        records = json.loads((folder / "manifest.json").read_text())["settings"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder} holds no finished settings ({error}): give a folder that simulate made") from error
    chosen = []
    for split, count in counts.items():
        own = sorted((r for r in records if r["split"] == split and "bytes" in r), key=lambda r: r["name"])
        if len(own) < count:
            raise UserError(f"{folder} has {len(own)} finished settings of the {split} split: ask for no more")
        chosen += own[:count]
    if chosen and set(chosen[0]["parameters"]) != set(ocean.ranges):
        raise UserError(f"{folder} varies {', '.join(chosen[0]['parameters'])}: another ocean, give one of this kind")
    return [Setting(r["name"], r["split"], r["parameters"], r["seed"], None) for r in chosen]


def _full_grid(ocean: Ocean, seed: int) -> list[Setting]:
    """``i0-j0``, ``i0-j1``, …: every combination of evenly spread values, edges included; all for training."""
    settings = []
    for number, place in enumerate(itertools.product(range(ocean.points), repeat=len(ocean.ranges))):
        name = "-".join(f"{letter}{index}" for letter, index in zip("ijklmn", place, strict=False))
        values = parameters_at(ocean, np.array(place) / (ocean.points - 1))
        settings.append(Setting(name, "train", values, 1000 * seed + number, None))
    return settings


def _spanning_tree(ocean, points, labels, seed):
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    order, parents = [0], {0: None}
    while len(order) < len(points):
        rest = [i for i in range(len(points)) if i not in parents]
        block = distance[np.ix_(rest, order)]
        i, j = np.unravel_index(block.argmin(), block.shape)
        parents[rest[i]] = order[j]
        order.append(rest[i])
    name = lambda i: None if i is None else labels[i][0]  # noqa: E731
    return [
        Setting(name(i), labels[i][1], parameters_at(ocean, points[i]), 1000 * seed + i, name(parents[i]))
        for i in order
    ]
