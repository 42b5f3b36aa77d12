"""bf16 keeps 8 bits: finite wherever fp32 is, near it by a declared share; fp16 does not reach, and is refused."""

import pytest
import torch

from ldm_ocean.autoencoder.loss import ReconstructionLoss
from ldm_ocean.errors import UserError
from ldm_ocean.pipeline import OceanLDM
from ldm_ocean.training.config import VaeConfig, load

pytestmark = pytest.mark.reliability("R21")

DECLARED = 0.03  # RMS difference of bf16 from fp32, as a share of the RMS of fp32
EXTREME = [0.0, 1e-6, 1.0, 30.0, 1e3, 1e6]  # times ordinary anomalies


def rms(x: torch.Tensor) -> float:
    return float(x.double().square().mean().sqrt())


def both_precisions(call):
    plain = call()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = call()
    return plain.float(), rounded.float()


@pytest.mark.parametrize("size", EXTREME)
def test_the_autoencoder_in_bf16_is_finite_and_near_fp32_at_any_size_of_input(size, autoencoder, tensor, fields, grid):
    x = size * autoencoder.normalise(tensor[:4])
    plain, rounded = both_precisions(lambda: autoencoder(x))
    assert torch.isfinite(rounded).all()
    assert rms(rounded - plain) <= DECLARED * rms(plain)
    criterion = ReconstructionLoss(fields.volumes(grid), autoencoder.normaliser)
    with torch.autocast("cpu", torch.bfloat16):
        loss = criterion(autoencoder(x), x)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in autoencoder.parameters() if p.grad is not None)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_samples_drawn_in_bf16_are_near_those_of_fp32(guidance, road):
    model = OceanLDM.from_pretrained(road["diffusion"], "cpu")
    ask = {"wind": 0.2, "mixing": 4e-5}
    plain, rounded = both_precisions(lambda: model.sample_latents(ask, members=2, guidance=guidance))
    assert torch.isfinite(rounded).all()
    assert rms(rounded - plain) <= DECLARED * rms(plain)


def test_what_bf16_holds_overflows_in_fp16(autoencoder, tensor):
    """Why fp16 is refused: the very input of above leaves its range of 65504."""
    x = 1e6 * autoencoder.normalise(tensor[:4])
    assert torch.isfinite(x.bfloat16()).all() and not torch.isfinite(x.half()).all()


@pytest.mark.parametrize("precision", ["fp16", "fp8", "float16"])
def test_fp16_is_refused(precision):
    with pytest.raises(UserError, match=f"train.precision={precision} is not accepted"):
        load(VaeConfig, "vae", [f"train.precision={precision}"])
