"""Generators of the first release, in today's terms.

Schema 1 had one kernel of length ℓ and nugget ν for all mean years b, let them err with the pattern of the errors
e_i = (K⁻¹(b − b̄))_i/(K⁻¹)_ii at left-out settings, and took the weather for N(0, s²):

    b̃(c, ξ) = b̂(c) + √(v(c)/S) Σ_i ξ_i √(K⁻¹)_ii e_i

The principal directions of these errors are ``prior.directions``, their sizes those of the processes along them; mean
states, doubt and denoiser are the same. What its transformer made of a context is left behind: sampling knows none.
"""

import torch

from .process import GaussianProcess

PRIOR = "denoiser.prior."


def from_schema_1(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of schema 2 from those of schema 1; KeyError where one is missing."""
    old = {k.removeprefix(PRIOR): tensors[k].double() for k in tensors if k.startswith(PRIOR)}
    kept = {k: v for k, v in tensors.items() if not k.startswith(PRIOR)}
    enter, ask = kept["denoiser.network.enter.weight"].clone(), kept["denoiser.network.ask.0.weight"]
    enter[:, enter.shape[1] // 2 :] = 0  # was the context
    kept |= {"denoiser.network.enter.weight": enter, "denoiser.network.ask.0.weight": ask[:, :-1]}
    weather = {
        "basis": torch.zeros(0, old["pooled"][0].numel()),
        "variances": old["spread"].square()[None],
        "slopes": torch.zeros(old["settings"].shape[1]),
        "limits": torch.zeros(2),
    }
    return kept | {f"denoiser.weather.{k}": v.float() for k, v in weather.items()} | _prior(old)


def _prior(old: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    places, years = old["settings"], old["years"]
    count, parameters = places.shape
    one, lengths = torch.ones(1), old["length"].expand(1, parameters)
    process = GaussianProcess(places, torch.zeros(count, 1), lengths, one, one, old["nugget"][None])
    inverse = process.inverse()[0]
    departures = (years - years.mean(0)).flatten(1)
    diagonal = inverse.diagonal()[:, None]
    _, size, directions = torch.linalg.svd(inverse @ departures / (diagonal * count).sqrt(), full_matrices=False)
    size, directions = size[: count - 1], directions[: count - 1]
    like = torch.ones(count - 1)
    new = {
        "process.places": places,
        "process.values": departures @ directions.T,
        "process.lengths": old["length"] * torch.ones(count - 1, parameters),
        "process.slope": like,
        "process.size": size.square(),
        "process.nugget": old["nugget"] * like,
        "middle": years.mean(0),
        "directions": directions.view(-1, *years.shape[1:]),
        "pooled": old["pooled"],
        "gain": 0 * like,
        "doubt": like,
        "shown": like,
    }
    return {PRIOR + k: v.float() for k, v in new.items()}
