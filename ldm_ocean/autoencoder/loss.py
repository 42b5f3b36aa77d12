"""Stage-one loss: what an error weighs.

    L = mean over variables and levels of  Σ w e² / Σ w   +  λ · the same for the error's vertical differences
        w: cell volume at the variable's own point;  e: error of the normalised anomaly

Dividing by the wet weight of each (variable, level) lets a deep level with few wet cells count fully. The second term
watches what makes density inversions: neighbouring deep levels differ by far less than a plain fit's error.
"""

import torch

from .normaliser import Normaliser


class ReconstructionLoss(torch.nn.Module):
    """Masked, volume-weighted loss for states (B, V, D, Y, X) of normalised anomalies.

    ``power`` ∈ [0, 1] moves weight towards the levels that hold most physical variance: 0 counts all levels of a
    variable alike, 1 counts physical variance alike (Σ over levels is 1 for each variable either way).
    """

    weight: torch.Tensor
    pair_weight: torch.Tensor
    upper: torch.Tensor
    lower: torch.Tensor

    def __init__(self, volumes: torch.Tensor, normaliser: Normaliser, vertical: float = 0.1, power: float = 0.5):
        super().__init__()
        volumes = volumes.double()
        total = volumes.sum((-2, -1), keepdim=True)
        share = torch.where(total > 0, volumes / total.clamp_min(1e-300), 0)
        variance = (total[..., 0, 0] * normaliser.scale.double().cpu() ** 2).clamp_min(1e-300)
        importance = torch.where(total[..., 0, 0] > 0, variance**power, 0)
        importance = importance / importance.sum(1, keepdim=True) / len(volumes)
        self.register_buffer("weight", (share * importance[..., None, None]).float())
        pairs = volumes[:, 1:] * (volumes[:, :-1] > 0)
        pair_total = pairs.sum((-2, -1), keepdim=True)
        pair_share = torch.where(pair_total > 0, pairs / pair_total.clamp_min(1e-300), 0)
        self.register_buffer("pair_weight", (pair_share * importance[:, 1:, None, None]).float())
        step = normaliser.step_scale[:, :-1].cpu()
        ratio = lambda s: torch.where(step > 0, s / step.clamp_min(1e-12), 0)[..., None, None]  # noqa: E731
        self.register_buffer("upper", ratio(normaliser.scale[:, :-1].cpu()))
        self.register_buffer("lower", ratio(normaliser.scale[:, 1:].cpu()))
        self.vertical = vertical

    def forward(self, estimate: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean over the batch, a scalar."""
        error = estimate - target
        loss = (self.weight * error.square()).sum((1, 2, 3, 4)).mean()
        if self.vertical:
            steps = error[:, :, 1:] * self.lower - error[:, :, :-1] * self.upper
            loss = loss + self.vertical * (self.pair_weight * steps.square()).sum((1, 2, 3, 4)).mean()
        return loss
