"""Another ocean, Veros' own ``acc``, is prepared, learnt and sampled with a config file and not a line of code."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from ldm_ocean import open_states
from ldm_ocean.commands import cli

WINDS = {  # setting → (split, strength of the wind)
    "weak": ("train", 0.6),
    "plain": ("train", 1.0),
    "strong": ("train", 1.4),
    "between": ("validation", 1.2),
    "unseen": ("test", 0.8),
}
SIMULATION = """
import sys

from veros import runtime_settings

runtime_settings.backend, runtime_settings.loglevel = "numpy", "error"

from veros import veros_routine
from veros.setups.acc.acc import ACCSetup

name, wind = sys.argv[1], float(sys.argv[2])


class Acc(ACCSetup):
    @veros_routine
    def set_initial_conditions(self, state):
        super().set_initial_conditions(state)
        state.variables.surface_taux = wind * state.variables.surface_taux

    @veros_routine
    def set_diagnostics(self, state):
        for other in set(state.diagnostics) - {"snapshot"}:
            del state.diagnostics[other]
        state.diagnostics["snapshot"].output_frequency = 5 * 86400.0


run = Acc(override={"identifier": name, "runlen": 20 * 86400.0, "enable_streamfunction": False})
run.setup()
run.run(show_progress_bar=False)
"""
VARIABLES = ["toce", "soce", "uoce", "voce", "ssh"]
CONFIG = {  # one experiment file: all that the two stages need to know
    "vae": {
        "run": "vae",
        "data": {"states": "acc.zarr", "latents": "latents.zarr"},
        "model": {"strides": [[3, 2, 2], [1, 2, 2]], "widths": [16, 24], "blocks": [1, 1], "channels": 4},
        "train": {"samples": 96, "global_batch_size": 8, "validate_every": 48, "checkpoint_every": 48, "device": "cpu"},
    },
    "diffusion": {
        "run": "diffusion",
        "codec": "vae",
        "data": {"states": "acc.zarr", "latents": "latents.zarr"},
        "model": {"width": 32, "depth": 1, "heads": 2},
        "train": {"samples": 96, "global_batch_size": 8, "validate_every": 48, "checkpoint_every": 48, "device": "cpu"},
    },
}
SCORES = {
    "splits": ["test"],
    "members": 4,
    "verifying": 2,
    "regions": {
        "boxes": {"upper": {"depth": [0, 500], "latitude": [-30, 30]}},
        "sections": {"channel": {"longitude": 20, "latitude": [-40, -20]}},
    },
}


@pytest.mark.slow
def test_veros_acc_goes_from_its_snapshots_to_scored_samples(tmp_path, monkeypatch):
    pytest.importorskip("veros")
    monkeypatch.chdir(tmp_path)
    Path("simulation.py").write_text(SIMULATION)
    Path("acc.yaml").write_text(yaml.safe_dump(CONFIG))
    Path("scores.yaml").write_text(yaml.safe_dump(SCORES))

    for name, (split, wind) in WINDS.items():
        subprocess.run([sys.executable, "simulation.py", name, str(wind)], check=True, capture_output=True, timeout=600)
        command = ["prepare", f"{name}.snapshot.nc", "--out", "acc.zarr", "--split", split, "--append"]
        cli.main([*command, "--setting", name, "--parameter", f"wind={wind}"])
    states = open_states("acc.zarr")
    assert dict(states.sizes) == {"sample": 20, "depth": 15, "y": 42, "x": 30}
    assert [k for k, v in states.data_vars.items() if "mask" in v.attrs] == VARIABLES
    assert states.attrs["periodic_x"] == 1 and states.attrs["equation_of_state"] == "vallis"
    assert set(states.setting.values) == set(WINDS)

    for script in ("train_vae", "train_diffusion"):
        if script == "train_diffusion":
            cli.main(["encode", "acc.zarr", "--codec", "vae", "--out", "latents.zarr"])
        monkeypatch.setattr(sys, "argv", [f"{script}.py", "experiment=acc.yaml"])
        import_module(script).main()

    cli.main(["sample", "diffusion", "wind=0.8", "--members", "3", "--out", "samples.zarr", "--device", "cpu"])
    samples = xr.open_zarr("samples.zarr", consolidated=False)
    assert dict(samples.sizes) == {"member": 3, "depth": 15, "y": 42, "x": 30}
    for name in VARIABLES:
        wet = states[states[name].attrs["mask"]].values > 0
        wet = wet if "depth" in samples[name].dims else wet[0]
        assert np.isfinite(samples[name].values[:, wet]).all()
        assert np.isnan(samples[name].values[:, ~wet]).all()
    warm = float(samples.toce.mean() - states.toce.mean())
    assert abs(warm) < 0.5  # hardly trained, yet an ocean

    cli.main(["evaluate", "acc.zarr", "--model", "diffusion", "--config", "scores.yaml", "--out", "metrics.json"])
    scores = json.loads(Path("metrics.json").read_text())["splits"]["test"]["scores"]["truth"]
    assert set(scores["climatology"]) == set(VARIABLES)
    for method in scores.values():
        for score in method.values():
            assert np.isfinite(score["rmse"] if "rmse" in score else score["crps"])
