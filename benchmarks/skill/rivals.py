"""What could embarrass a latent diffusion model: its own parts with less in them.

Every one is a mean state and weather about it, drawn apart:

    Latent         our mean states, with weather from: the network, the Gaussian of its covariance, training states
    StateGaussian  the same statistics with EOFs of the states in place of an autoencoder: nothing here is deep

``likely`` states have the most likely mean state each, so that what varies is weather alone (see ``weather``).
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ldm_ocean import OceanLDM
from ldm_ocean.generative import STEPS
from ldm_ocean.generative.conditions import Condition, season_angle
from ldm_ocean.generative.denoiser import Denoiser
from ldm_ocean.generative.prior import Earlier, Prior
from ldm_ocean.generative.sampling import generator, member_noise, noise_levels, sample
from ldm_ocean.generative.years import decompose
from ldm_ocean.metrics.eof import Eofs, standard

Blow = Callable[[Condition, int], Tensor]
"""Weather: what is asked for, its mean states included, and a seed → latents (M, N, C)."""


class Latent:
    """Mean states of a model's prior, about which ``blow`` draws; decoded."""

    def __init__(self, ocean: OceanLDM, blow: Blow):
        self.ocean, self.blow = ocean, blow

    def sample(self, parameters: np.ndarray, season: float, members: int, seed: int, likely: bool = False) -> Tensor:
        """(M, V, D, Y, X)."""
        latents = self.blow(self._asked(parameters, season, members, seed, likely), seed)
        return torch.from_numpy(self.ocean.fields.stack(self.ocean.decode(latents), self.ocean.grid))

    @torch.no_grad()
    def _asked(self, parameters, season: float, members: int, seed: int, likely: bool) -> Condition:
        own = self.ocean.generator
        asked = own.scaler(torch.from_numpy(np.asarray(parameters, "float64"))[None]).to(own.device)
        angle = season_angle(torch.full((members,), season, device=own.device))
        return drawn_condition(own.denoiser.prior, asked.expand(members, -1), angle, seed, likely)


def drawn_condition(prior: Prior, asked: Tensor, angle: Tensor, seed: int, likely: bool) -> Condition:
    """What is asked for, with a mean state drawn for each (or the most ``likely``), as ``Generator`` draws it."""
    xi = member_noise((len(prior.directions),), seed, range(len(asked)), step_number=1).to(asked)
    return Condition(asked, angle, prior(asked, angle, None if likely else xi), torch.ones(len(asked)).to(asked))


def network(ocean: OceanLDM) -> Blow:
    """What the model itself does."""
    own = ocean.generator
    levels = noise_levels(STEPS, own.about["curve"]).to(own.device)

    def blow(asked: Condition, seed: int) -> Tensor:
        def denoise(z: Tensor, sigma: Tensor) -> Tensor:
            return own.denoiser(z, sigma, asked)

        return sample(denoise, _noise(asked, seed), levels, own.denoiser.gaussian(asked))

    return blow


def gaussian(ocean: OceanLDM) -> Blow:
    """F = 0."""

    def blow(asked: Condition, seed: int) -> Tensor:
        known = ocean.generator.denoiser.gaussian(asked)
        return known.noisy(_noise(asked, seed), torch.zeros(len(asked.mean), device=ocean.device))

    return blow


def bootstrap(ocean: OceanLDM, training: xr.Dataset) -> Blow:
    """The weather of training states, of whatever setting and season, drawn without replacement."""
    latents, prior = ocean.encode(training), ocean.generator.denoiser.prior
    angle = season_angle(torch.from_numpy(training.season.values)).float().to(ocean.device)
    _, _, weather = decompose(latents, angle, training.setting.values, prior.pooled)

    def blow(asked: Condition, seed: int) -> Tensor:
        chosen = torch.randperm(len(weather), generator=generator(seed, 5))[: len(asked.mean)]
        return asked.mean[: len(chosen)] + weather[chosen]

    return blow


def _noise(asked: Condition, seed: int) -> Tensor:
    return member_noise(tuple(asked.mean.shape[1:]), seed, range(len(asked.mean))).to(asked.mean)


def latent_rivals(ocean: OceanLDM, training: xr.Dataset) -> Iterator[tuple[str, Latent]]:
    """By name; without a network the model is its own Gaussian, and no rival of itself."""
    if ocean.generator.denoiser.network is not None:
        yield "latent_gaussian", Latent(ocean, gaussian(ocean))
    yield "latent_bootstrap", Latent(ocean, bootstrap(ocean, training))


class StateGaussian(Eofs):
    """Prior and weather of stage two on EOF coefficients; all EOFs but those that hold the last ten-thousandth."""

    def __init__(self, volumes: Tensor):
        super().__init__(volumes, explained=0.9999)

    def _fit(self, coefficients, places, season, settings):
        z = torch.from_numpy(coefficients).float()[..., None]
        self.denoiser = Denoiser.fitted(z, _asked(places), _angle(season), settings)
        return coefficients[:0]  # no residuals are resampled

    def learn_from_earlier(self, states: np.ndarray, season: np.ndarray, setting: np.ndarray) -> None:
        """As ``Prior``, from unfinished states (n, V, D, Y, X); ``setting`` (n,) counts those fitted to by name."""
        self.denoiser.prior.learn_from_earlier(self._earlier(states, season), setting)

    @torch.no_grad()
    def settling(self, states: np.ndarray, parameters: np.ndarray, season: np.ndarray) -> Tensor:
        """What is to be added to unfinished ``states`` (n, V, D, Y, X) of ``parameters`` (P,)."""
        asked = _asked(self.scale.unit(parameters)[None]).expand(len(states), -1)
        change = self.denoiser.prior.settling(asked, self._earlier(states, season))[..., 0].double().numpy()
        return self.states(change) - self.states(0 * change)

    def _earlier(self, states: np.ndarray, season: np.ndarray) -> Earlier:
        return Earlier(torch.from_numpy(self.coefficients(states)).float()[..., None], _angle(season))

    @torch.no_grad()
    def sample(self, parameters: np.ndarray, season: float, members: int, seed: int, likely: bool = False) -> Tensor:
        """(M, V, D, Y, X)."""
        asked = _asked(self.scale.unit(np.asarray(parameters))[None]).expand(members, -1)
        condition = drawn_condition(self.denoiser.prior, asked, _angle(np.full(members, season)), seed, likely)
        drawn = self.denoiser.gaussian(condition).noisy(_noise(condition, seed), torch.zeros(members))
        return self.states(drawn[..., 0].double().numpy())


def _asked(places: np.ndarray) -> Tensor:
    return torch.from_numpy(standard(places)).float()


def _angle(season: np.ndarray) -> Tensor:
    return season_angle(torch.from_numpy(season).float())
