"""What an earlier release published: it loads and gives the numbers that it gave then, or is refused by its schema.

``python -m tests.reliability.test_released`` writes the numbers anew, for a release that means to change them.
"""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from ldm_ocean import OceanLDM, artefacts, open_states
from ldm_ocean.autoencoder.latents import open_latents
from ldm_ocean.errors import UserError
from ldm_ocean.training import checkpoint

from .small import parts, save

pytestmark = pytest.mark.reliability("R25")

ROOT = Path(__file__).resolve().parents[2]
MODEL, LATENTS, STATES = (
    ROOT / p for p in ("pretrained/dino-coarse", "data/dino-coarse-latents.zarr", "data/dino-coarse")
)
NUMBERS = Path(__file__).with_name("released.json")
ASKED = {"rn_ztau0": 0.2, "rn_tstar_n": 5.0, "rn_avt0": 3e-5}


def moments(x) -> list[float]:
    """Mean, standard deviation, smallest and largest of the finite values."""
    x = np.asarray(x, "float64")
    x = x[np.isfinite(x)]
    return [float(v) for v in (x.mean(), x.std(), x.min(), x.max())]


def numbers() -> dict:
    """What the published files give: hashes, stored latents, one state through the codec, two samples."""
    model = OceanLDM.from_pretrained(MODEL, "cpu")
    latents = open_latents(LATENTS, model.codec)
    state = open_states(STATES, ["validation"], equilibrium=True).isel(sample=[0])
    encoded, drawn = model.encode(state), model.sample(ASKED, members=2, seed=0)
    back = model.decode(encoded)
    found = {"stored latents": moments(latents.values), "encoded": moments(encoded)}
    found |= {f"decoded {k}": moments(back[k]) for k in model.fields.names}
    found |= {f"sampled {k}": moments(drawn[k]) for k in model.fields.names}
    hashes = {"codec": model.codec.digest, "grid": model.grid.digest, "states": len(latents.values)}
    return {"hashes": hashes, "parameters": {k: list(v) for k, v in model.parameters.items()}, "moments": found}


def test_the_published_weights_and_latents_give_the_numbers_that_they_gave():
    then, now = json.loads(NUMBERS.read_text()), numbers()
    assert now["hashes"] == then["hashes"] and now["parameters"] == then["parameters"]
    assert set(now["moments"]) == set(then["moments"])
    for name, values in then["moments"].items():
        spread = max(abs(values[3] - values[2]), 1e-12)
        assert np.abs(np.subtract(now["moments"][name], values)).max() < 1e-3 * spread, name


@pytest.mark.parametrize("schema", [0, 3, 99, None, "1", [1]])
@pytest.mark.parametrize("name", ["codec", "generator"])
def test_a_model_of_an_unknown_schema_is_refused_by_its_number(name, schema, tmp_path):
    for file in MODEL.glob("*.*"):
        shutil.copy2(file, tmp_path)
    about = json.loads((tmp_path / f"{name}.json").read_text())
    (tmp_path / f"{name}.json").write_text(json.dumps({**about, "schema": schema}))
    with pytest.raises(UserError) as refused:
        OceanLDM.from_pretrained(tmp_path, "cpu")
    known = " and ".join(map(str, artefacts.SCHEMAS[name]))
    assert f"{name}.json has schema {schema}, this version reads {known}" in str(refused.value)


@pytest.mark.parametrize("schema", [0, 2, None])
def test_latents_of_an_unknown_schema_likewise(schema, tmp_path):
    store = Path(shutil.copytree(LATENTS, tmp_path / "l.zarr"))
    about = json.loads((store / "zarr.json").read_text())
    about["attributes"]["schema"] = schema
    (store / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match=f"has schema {schema}, this version reads 1"):
        open_latents(store, artefacts.load_codec(MODEL))


@pytest.mark.parametrize("schema", [0, 2, None])
def test_a_checkpoint_of_an_unknown_schema_likewise_whatever_files_it_has(schema, tmp_path):
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    about = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**about, "schema": schema}))
    with pytest.raises(UserError, match=f"has schema {schema}, this version reads 1: go on with the release"):
        checkpoint.load(path, *parts())
    (path / "ema.safetensors").rename(path / "average.safetensors")
    files = [p for p in path.iterdir() if p.name != checkpoint.SUMS]
    sums = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files)
    for written in (sums, ""):
        (path / checkpoint.SUMS).write_text(written)
        with pytest.raises(UserError, match=f"{path} has schema {schema}, this version reads 1: go on with the rel"):
            checkpoint.newest(tmp_path)


def test_a_checkpoint_whose_schema_was_altered_is_damaged_and_not_of_another_release(tmp_path):
    older, path = (save(tmp_path, samples) for samples in (1, 2))
    about = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**about, "schema": 2}))
    with pytest.warns(UserWarning, match="state.json not as written"):
        assert checkpoint.newest(tmp_path) == older


def test_the_published_models_have_no_sum_of_their_json_and_are_sound_without():
    for name in ("codec", "generator"):
        with safe_open(MODEL / f"{name}.safetensors", "pt") as file:
            assert not (file.metadata() or {}).get(artefacts.SUM)


if __name__ == "__main__":
    torch.set_num_threads(1)
    NUMBERS.write_text(json.dumps(numbers(), indent=1) + "\n")
