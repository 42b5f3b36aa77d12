"""Models on disk: what was altered or is not what it says is refused, for that reason and before anything is built."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ldm_ocean import artefacts
from ldm_ocean.autoencoder.codec import IdentityCodec
from ldm_ocean.autoencoder.vae import Autoencoder
from ldm_ocean.errors import UserError
from ldm_ocean.generative.conditions import ParameterScaler
from ldm_ocean.generative.denoiser import Denoiser
from ldm_ocean.generative.generator import Generator

from .generative.test_denoiser import statistics

SHAPE = {"width": 16, "depth": 1, "heads": 2}


@pytest.fixture
def model(autoencoder, tmp_path) -> Path:
    """An untrained pair, saved."""
    artefacts.save_codec(tmp_path, autoencoder)
    scaler = ParameterScaler(["wind", "mixing"])
    about = {"shape": SHAPE, "curve": "edm", "codec": autoencoder.digest}
    network = artefacts.new_network(autoencoder, 2, SHAPE)
    denoiser = Denoiser(network, *statistics(2, autoencoder.n_tokens, autoencoder.channels))
    artefacts.save_generator(tmp_path, Generator(denoiser, scaler, about))
    return tmp_path


def without_sums(folder: Path, name: str, edit=lambda about, tensors: None) -> None:
    """As the first release wrote it, which knew no sums of files; ``edit`` changes what is in them."""
    path = folder / f"{name}.json"
    about, tensors = json.loads(path.read_text()), load_file(path.with_suffix(".safetensors"))
    del about[artefacts.SUM]
    edit(about, tensors)
    save_file(tensors, path.with_suffix(".safetensors"))
    path.write_text(json.dumps(about))


def test_a_model_comes_back_as_it_was_saved(model, autoencoder, tensor):
    codec = artefacts.load_codec(model)
    assert codec.digest == autoencoder.digest
    assert torch.equal(codec.encode(tensor), autoencoder.encode(tensor))
    own = artefacts.load_generator(model, codec)
    assert own.scaler.names == ["wind", "mixing"] and own.about["shape"] == SHAPE and not own.denoiser.training


@pytest.mark.parametrize("name", ["head.weight", "token_mean", "normaliser.scale", "mesh.e1t"])
def test_a_codec_without_sums_is_held_to_its_digest(name, model):
    without_sums(model, "codec")
    artefacts.load_codec(model)

    def alter(about, tensors):
        tensors[name] = tensors[name] * 1.5

    artefacts.save_codec(model, artefacts.load_codec(model))
    without_sums(model, "codec", alter)
    with pytest.raises(UserError, match="was altered: its weights hash to"):
        artefacts.load_codec(model)


def test_a_digest_that_is_not_that_of_the_weights_is_refused_with_both_hashes(model, autoencoder):
    without_sums(model, "codec", lambda about, tensors: about.update(digest="0" * 64))
    with pytest.raises(UserError, match=f"hash to {autoencoder.digest[:12]}, not 000000000000"):
        artefacts.load_codec(model)


def test_a_generator_of_another_codec_is_refused_with_both_hashes(model, fields, grid, autoencoder):
    other = IdentityCodec(fields, grid)
    with pytest.raises(UserError, match=f"{autoencoder.digest[:12]}, this one is {other.digest[:12]}"):
        artefacts.load_generator(model, other)


OVERSIZED = {
    "wide": ("codec", {"widths": [10**6, 12]}),
    "many channels": ("codec", {"channels": 10**7}),
    "coarse": ("codec", {"strides": [[2, 2, 2], [10**6, 1, 1]]}),
    "deep": ("codec", {"blocks": [1, 10**6]}),
    "below nothing": ("codec", {"widths": [-8, 12]}),
    "a wide transformer": ("generator", {"width": 10**6}),
    "a deep transformer": ("generator", {"depth": 10**6}),
}


@pytest.mark.parametrize("case", OVERSIZED)
def test_a_network_larger_than_its_tensors_is_refused_for_that_and_never_built(case, model, autoencoder, monkeypatch):
    name, claim = OVERSIZED[case]
    without_sums(model, name, lambda about, tensors: about["shape"].update(claim))
    monkeypatch.setattr(artefacts, "Autoencoder", lambda *_, **__: pytest.fail("it was built"))
    monkeypatch.setattr(artefacts, "DiT", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(UserError, match="claims a network of"):
        artefacts.load_codec(model) if name == "codec" else artefacts.load_generator(model, autoencoder)


PARTS = ("middle", "directions", "pooled", "gain", "doubt")
STATISTICS = {
    **{name: f"denoiser.prior.{name}" for name in PARTS},
    **{n: f"denoiser.prior.process.{n}" for n in ("places", "values", "lengths", "slope", "size", "nugget")},
    **{name: f"denoiser.weather.{name}" for name in ("basis", "variances", "slopes", "limits")},
}


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_that_do_not_fit_each_other_or_the_latents_are_refused_by_name(name, model, autoencoder):
    def longer(about, tensors):
        tensors[STATISTICS[name]] = torch.cat([tensors[STATISTICS[name]]] * 3, -1)

    without_sums(model, "generator", longer)
    with pytest.raises(UserError, match=f"{name} is of shape"):
        artefacts.load_generator(model, autoencoder)


def test_a_generator_without_a_network_comes_back_without(model, autoencoder):
    own = artefacts.load_generator(model, autoencoder)
    bare = Generator(Denoiser(None, own.denoiser.prior, own.denoiser.weather), own.scaler, own.about | {"shape": None})
    artefacts.save_generator(model, bare)
    assert artefacts.load_generator(model, autoencoder).denoiser.network is None


def test_tensors_that_lose_nothing_are_kept_in_half_precision_and_others_whole(tmp_path, fields, grid):
    codec = Autoencoder(fields, grid, [(2, 2, 2)], [4], [1], 3)
    with torch.no_grad():
        codec.head.weight.copy_(codec.head.weight.half())
        codec.stem.weight.fill_(1 / 3)
    artefacts.save_codec(tmp_path, codec)
    tensors = load_file(tmp_path / "codec.safetensors")
    assert (tensors["head.weight"].dtype, tensors["stem.weight"].dtype) == (torch.float16, torch.float32)
    assert artefacts.load_codec(tmp_path).digest == codec.digest


def test_a_warm_start_takes_weights_that_fit_and_leaves_the_statistics(model, fields, grid, autoencoder):
    own = Autoencoder(fields, grid, [(2, 2, 2), (2, 2, 2)], [8, 12], [1, 1], 4)  # another number of channels
    before = {k: v.clone() for k, v in own.state_dict().items()}
    artefacts.load_matching(own, model)
    after, trained = own.state_dict(), autoencoder.state_dict()
    assert torch.equal(after["head.weight"], trained["head.weight"])
    for name in ("normaliser.mean", "normaliser.scale", "to_code.1.weight"):
        assert torch.equal(after[name], before[name]) and not torch.equal(after[name], trained.get(name))
