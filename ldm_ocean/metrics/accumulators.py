"""The scores of ``kernels`` summed over batches and processes: ``torchmetrics.Metric`` with float64 sums.

Only sums are kept (weighted squares, errors, weights, counts), so the result is that of all samples at once whatever
the batch sizes and however many processes share them. States are (N, V, D, Y, X); results are (V, D) "by level" and
(V,) "by variable", in the variables' units, NaN where a level is all land.
"""

import torch
from torch import Tensor
from torchmetrics import Metric

from .kernels import CELLS, energy_score, fair_crps, ratio, spread_and_skill


class _Sums(Metric):
    """Named float64 sums of shape (V, D) of weighted cells, and the number of samples."""

    full_state_update = False
    higher_is_better = False
    NAMES: tuple[str, ...] = ()
    volumes: Tensor
    count: Tensor

    def __init__(self, volumes: Tensor):
        """``volumes`` (V, D, Y, X) [m³], 0 on land."""
        super().__init__()
        self.register_buffer("volumes", volumes.double(), persistent=False)
        for name in self.NAMES:
            self.add_state(name, torch.zeros(volumes.shape[:2], dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def _add(self, name: str, cells: Tensor):
        """Add (N, V, D, Y, X) cells, weighted, to a sum."""
        setattr(self, name, getattr(self, name) + (cells.double() * self.volumes).sum((0, -2, -1)))

    def scores(self) -> dict[str, Tensor]:
        """``compute`` with all its axes: torchmetrics squeezes what has one element."""
        levels, variables = self.volumes.shape[:2], self.volumes.shape[:1]
        return {k: x.reshape(levels if k.endswith("by_level") else variables) for k, x in self.compute().items()}

    def _means(self, name: str) -> tuple[Tensor, Tensor]:
        """Weighted mean by level (V, D) and by variable (V,)."""
        weights, sums = self.volumes.sum((-2, -1)) * self.count, getattr(self, name)
        return ratio(sums, weights), ratio(sums.sum(-1), weights.sum(-1))


class StateError(_Sums):
    """RMSE, bias and share of the anomaly variance of one estimate a sample.

    ``mean`` (V, D, Y, X) is the state anomalies are taken about: that of the training set.
    """

    NAMES = ("square", "error", "anomaly")
    mean: Tensor
    square: Tensor
    anomaly: Tensor

    def __init__(self, volumes: Tensor, mean: Tensor):
        super().__init__(volumes)
        self.register_buffer("mean", mean.double(), persistent=False)

    def update(self, estimate: Tensor, truth: Tensor):
        """Both (N, V, D, Y, X)."""
        error = estimate.double() - truth.double()
        self._add("square", error**2)
        self._add("error", error)
        self._add("anomaly", (truth.double() - self.mean) ** 2)
        self.count += len(truth)

    def compute(self) -> dict[str, Tensor]:
        """``rmse``, ``bias``, ``anomaly_share`` (V,) and the same with ``_by_level`` (V, D)."""
        square, square_all = self._means("square")
        bias, bias_all = self._means("error")
        share, share_all = ratio(self.square, self.anomaly), ratio(self.square.sum(-1), self.anomaly.sum(-1))
        return {
            "rmse": square_all.sqrt(),
            "bias": bias_all,
            "anomaly_share": share_all,
            "rmse_by_level": square.sqrt(),
            "bias_by_level": bias,
            "anomaly_share_by_level": share,
        }


class EnsembleScore(_Sums):
    """Fair CRPS, energy score, spread and skill of ensembles; their sizes may differ from update to update."""

    NAMES = ("crps_sum", "spread", "skill")
    energy: Tensor

    def __init__(self, volumes: Tensor):
        super().__init__(volumes)
        self.add_state("energy", torch.zeros(len(volumes), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, ensemble: Tensor, truth: Tensor):
        """Members first: (M, N, V, D, Y, X) against (N, V, D, Y, X).

        One variable at a time and its wet cells only, which a processor's cache holds.
        """
        for v, volume in enumerate(self.volumes.flatten(1)):
            wet = volume.nonzero()[:, 0]
            weights, level = volume[wet], wet // self.volumes[0, 0].numel()
            x, y = (a[..., v, :, :, :].flatten(-3)[..., wet].double() for a in (ensemble, truth))
            spread, skill = spread_and_skill(x, y)
            for name, cells in (("crps_sum", fair_crps(x, y)), ("spread", spread), ("skill", skill)):
                getattr(self, name)[v].index_add_(0, level, (cells * weights).sum(0))
            self.energy[v] += energy_score(x, y, weights, CELLS).sum()
        self.count += len(truth)

    def compute(self) -> dict[str, Tensor]:
        """``crps``, ``energy``, ``spread``, ``skill`` (RMS), ``spread_skill`` (V,); two of them by level (V, D)."""
        crps, crps_all = self._means("crps_sum")
        (spread, spread_all), (skill, skill_all) = self._means("spread"), self._means("skill")
        return {
            "crps": crps_all,
            "energy": self.energy / self.count,
            "spread": spread_all.sqrt(),
            "skill": skill_all.sqrt(),
            "spread_skill": ratio(spread_all, skill_all).sqrt(),
            "crps_by_level": crps,
            "spread_skill_by_level": ratio(spread, skill).sqrt(),
        }
