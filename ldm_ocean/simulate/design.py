"""Which settings to run: scrambled Sobol over documented ranges, edge settings, one-at-a-time sweeps.

Every setting but the first starts from the end of its nearest neighbour among those before it (a minimum spanning
tree in scaled parameter space, Prim 1957), so the plan is the same however many processes share the work.
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import qmc

from .basin import Parameters

RANGES = {"rn_ztau0": (0.1, 0.3), "rn_tstar_n": (2.0, 8.0), "rn_avt0": (1e-5, 1e-4)}
LOGARITHMIC = {"rn_avt0"}
SWEEP = (0.1, 0.3, 0.9)  # with the centre (0.5): four points along each axis
EDGE_SETTINGS = 3
DRAWN = 64  # points of the sequence, a power of two: the most settings beside centre and sweeps


@dataclass(frozen=True)
class Setting:
    """One simulation: its place in the design, parameters, noise seed, and the setting it starts from (or rest)."""

    name: str
    split: str  # train, validation, test, edge, sweep, or centre (the spin-up from rest)
    parameters: Parameters
    seed: int
    parent: str | None

    def record(self) -> dict:
        """For the manifest."""
        return {**asdict(self), "parameters": asdict(self.parameters)}


def scale(unit: np.ndarray) -> Parameters:
    """Unit cube → parameters; diffusivity logarithmically."""
    values = {}
    for u, (name, (low, high)) in zip(unit, RANGES.items(), strict=True):
        values[name] = float(low * (high / low) ** u if name in LOGARITHMIC else low + (high - low) * u)
    return Parameters(**values)


def design(train: int = 24, validation: int = 4, test: int = 5, edge: int = EDGE_SETTINGS, seed: int = 0):
    """All settings in the order in which they can run."""
    points, labels = [np.full(len(RANGES), 0.5)], [("centre", "centre")]
    sobol = qmc.Sobol(len(RANGES), scramble=True, seed=seed)
    drawn = 0.05 + 0.9 * sobol.random(DRAWN)  # the outermost 5 % belong to the edge settings
    splits = ["train"] * train + ["validation"] * validation + ["test"] * test + ["edge"] * edge
    for i, split in enumerate(splits):
        unit, number = drawn[i].copy(), splits[:i].count(split)
        if split == "edge":
            axis = number % len(RANGES)
            unit[axis] = float(unit[axis] > 0.5)
        points.append(unit)
        labels.append((f"{split}-{number:02d}", split))
    for axis, name in enumerate(RANGES):
        for value in SWEEP if train > 1 else ():
            unit = np.full(len(RANGES), 0.5)
            unit[axis] = value
            points.append(unit)
            labels.append((f"sweep-{name}-{round(100 * value):02d}", "sweep"))
    return _spanning_tree(np.array(points), labels, seed)


def _spanning_tree(points, labels, seed):
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    order, parents = [0], {0: None}
    while len(order) < len(points):
        rest = [i for i in range(len(points)) if i not in parents]
        block = distance[np.ix_(rest, order)]
        i, j = np.unravel_index(block.argmin(), block.shape)
        parents[rest[i]] = order[j]
        order.append(rest[i])
    name = lambda i: None if i is None else labels[i][0]  # noqa: E731
    return [Setting(name(i), labels[i][1], scale(points[i]), 1000 * seed + i, name(parents[i])) for i in order]
