"""Constraints: closed forms, one slope each, and a file that says them."""

import dataclasses
import re

import numpy as np
import pytest
import torch
import xarray as xr

from ldm_ocean.errors import UserError
from ldm_ocean.io.constraints import read
from ldm_ocean.ocean.constraints import Inventory, Stability, Stratification, SurfaceFlux, bound
from ldm_ocean.ocean.grid import OceanGrid

CPU = torch.device("cpu")


@pytest.fixture
def seos(grid) -> OceanGrid:
    return dataclasses.replace(grid, equation_of_state="seos")


def ocean(fields, grid, temperature, salinity=35.0):
    """One state of the given profiles (D,), 0 elsewhere."""
    x = torch.zeros(1, *fields.masks(grid).shape)
    for name, profile in (("toce", temperature), ("soce", salinity)):
        x[0, fields.index_of(name)] = torch.as_tensor(profile).reshape(-1, 1, 1)
    return x * fields.masks(grid)


def test_a_stable_ocean_has_no_inversion_and_an_upset_one_its_volume_mean(fields, seos, states):
    warm_above = ocean(fields, seos, torch.linspace(20.0, 2.0, 5))
    residual = Stability(tolerance=0.1).on(fields, seos, CPU)
    assert residual(warm_above).item() == 0
    salty_above = ocean(fields, seos, torch.full((5,), 10.0), torch.tensor([36.0, 35, 35, 35, 35]))
    volume = seos.volume("t")
    pairs = volume[:-1] * (volume[1:] > 0)
    expected = 0.76554 * np.sqrt(pairs[0].sum() / pairs.sum()) / 0.1
    assert residual(salty_above).item() == pytest.approx(expected, rel=1e-4)


def test_stability_pulls_light_water_up_and_knows_no_slope_where_all_is_well(fields, seos):
    t = fields.index_of("toce")
    for profile, sign in (([2.0, 10, 2, 2, 2], 1), ([20.0, 15, 10, 5, 2], 0)):
        x = ocean(fields, seos, torch.tensor(profile)).requires_grad_()
        Stability().on(fields, seos, CPU)(x).sum().backward()
        wet = fields.masks(seos)[t]
        assert torch.isfinite(x.grad).all()
        assert torch.equal(torch.sign(-x.grad[0, t, 0][wet[1]]), torch.full_like(x.grad[0, t, 0][wet[1]], sign))


def test_a_state_has_its_own_stratification_and_misses_another_by_the_difference(fields, seos):
    one = ocean(fields, seos, torch.full((5,), 10.0), torch.tensor([34.0, 35, 36, 37, 38]))
    own = Stratification.like(one, fields, seos, tolerance=0.1)
    assert own.steps[:3] == pytest.approx([0.76554] * 3, rel=3e-4)
    assert own.on(fields, seos, CPU)(one).abs().max().item() == 0
    fresher = ocean(fields, seos, torch.full((5,), 10.0), torch.tensor([33.0, 35, 36, 37, 38]))
    missed = own.on(fields, seos, CPU)(fresher)[0]
    assert missed[0].item() == pytest.approx(7.6554, rel=1e-3) and missed[1:].abs().max().item() == 0


def test_an_inventory_is_a_volume_mean_and_its_slope_a_share_of_the_volume(fields, grid):
    x = ocean(fields, grid, torch.full((5,), 7.0)).requires_grad_()
    r = Inventory("toce", 5.0, 0.5).on(fields, grid, CPU)(x)
    assert r.item() == pytest.approx(4.0, rel=1e-5)
    r.sum().backward()
    volume = torch.from_numpy(grid.volume("t"))
    torch.testing.assert_close(x.grad[0, fields.index_of("toce")], (volume / volume.sum() / 0.5).float())


def test_a_variable_is_known_by_its_standard_name_too(fields, grid):
    x = ocean(fields, grid, torch.full((5,), 7.0))
    assert Inventory("sea_water_potential_temperature", 5.0, 0.5).on(fields, grid, CPU)(x).item() == pytest.approx(4)


def test_a_surface_two_degrees_above_its_target_loses_twice_the_restoring(fields, grid):
    x, target = ocean(fields, grid, torch.full((5,), 12.0)), np.full(grid.shape[1:], 10.0)
    target[grid.area("t") == 0] = np.nan
    assert SurfaceFlux("toce", target, -40.0, -70.0, 5.0).on(fields, grid, CPU)(x).item() == pytest.approx(-2.0)


def test_a_file_says_all_kinds(tmp_path, road, fields, seos):
    xr.Dataset({"tstar": (("y", "x"), np.full(seos.shape[1:], 10.0))}).to_netcdf(tmp_path / "t.nc", engine="h5netcdf")
    (tmp_path / "c.yaml").write_text(f"""
stability: {{tolerance: 0.002}}
stratification: {{like: {road["states.zarr"]}, tolerance: 0.03}}
inventory:
  - {{variable: toce, mean: 4.0, tolerance: 0.1}}
  - {{variable: soce, mean: 35.0, tolerance: 0.01}}
surface_flux: {{variable: toce, target: {tmp_path / "t.nc"}, restoring: -40, mean: 0, tolerance: 1}}
""")
    found = read(tmp_path / "c.yaml", fields, seos)
    assert [type(c) for c in found] == [Stability, Stratification, Inventory, Inventory, SurfaceFlux]
    assert found[0].tolerance == 0.002 and len(found[1].steps) == 4 and found[3].mean == 35.0
    assert all(c.on(fields, seos, CPU)(ocean(fields, seos, torch.full((5,), 9.0))).isfinite().all() for c in found)


@pytest.mark.parametrize(
    "text, message",
    [
        ("stabilty: {}", "(did you mean 'stability'?)"),
        ("inventory: {variable: toce, tolerance: 1}", "inventory in .* lacks 'mean'"),
        ("inventory: {variable: toce, mean: abc, tolerance: 1}", "mean of inventory in .* is 'abc': give a number"),
        ("inventory: {variable: toce, mean: null, tolerance: 1}", "mean of inventory in .* is None"),
        ("stability: {tolerance: [1]}", "tolerance of stability in .* give a number"),
        ("stability: {strength: 1}", "unknown option 'strength' in stability in .*"),
        ("stability: 0.001", "stability in .* is 0.001: write its options by name"),
        ("stability: false", "stability in .* is False: write its options by name"),
        ("stratification: {steps: 3}", "steps of stratification in .* give a list of numbers"),
        ("stratification: {steps: [1], like: x}", "both like and steps"),
        ("stratification: {like: nowhere.zarr}", "no states at nowhere.zarr"),
        ("[1, 2]", "holds no table"),
        ("", "holds no constraints"),
        ("{", "not readable YAML"),
        ("surface_flux: {variable: toce, target: no.nc, restoring: 1, mean: 0, tolerance: 1}", "no.nc is no file"),
    ],
)
def test_a_wrong_file_is_said_in_one_line(text, message, tmp_path, fields, grid):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=re.escape(message) if "(" in message else message) as error:
        read(tmp_path / "c.yaml", fields, grid)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "constraint, message",
    [
        (Stability(0.0), "stability: tolerance is 0, it must be above 0"),
        (Stability(float("nan")), "stability: tolerance is nan"),
        (Inventory("toce", float("inf"), 1.0), "inventory of toce: mean is inf"),
        (Inventory("tose", 1.0, 1.0), "no variable 'tose'"),
        (Stratification((1.0, float("nan"), 1.0, 1.0)), "stratification: steps is"),
        (Stratification((1.0,)), "1 steps for 5 levels"),
        (SurfaceFlux("toce", np.full((9, 7), np.nan), -40.0, 0.0, 1.0), "not finite at every wet cell"),
        (SurfaceFlux("toce", np.zeros((7, 9)), -40.0, 0.0, 1.0), "the grid"),
    ],
)
def test_a_constraint_that_means_nothing_is_refused_before_any_work(constraint, message, fields, seos):
    with pytest.raises(UserError, match=re.escape(message)):
        bound(constraint, fields, seos, CPU)


def test_a_store_of_another_grid_has_no_say(tmp_path, fields, seos, states):
    states.assign(e1t=2 * states.e1t).to_zarr(tmp_path / "other.zarr", consolidated=False)
    (tmp_path / "c.yaml").write_text(f"stratification: {{like: {tmp_path / 'other.zarr'}}}")
    with pytest.raises(UserError, match="another grid"):
        read(tmp_path / "c.yaml", fields, seos)


def test_density_that_torch_cannot_differentiate_is_refused(fields, grid):
    with pytest.raises(UserError, match="teos10"):
        Stability().on(fields, dataclasses.replace(grid, equation_of_state="teos10"), CPU)


def test_without_an_equation_of_state_density_is_refused(fields, grid):
    with pytest.raises(UserError, match="equation of state"):
        Stability().on(fields, dataclasses.replace(grid, equation_of_state=None), CPU)
