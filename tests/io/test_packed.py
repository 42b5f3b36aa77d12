"""Packed states: what rounding costs, what survives the file, and that no half file is ever left."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ldm_ocean.errors import UserError
from ldm_ocean.io import packed
from ldm_ocean.io.packed import SUFFIX, dequantise, quantise, read_packed, write_packed

from ..conftest import CF, small_mesh, small_states

SHAPE = (3, 2, 3, 4)  # sample, depth, y, x
VALUES = arrays("float64", SHAPE, elements=st.floats(-1e4, 1e4, allow_subnormal=False))
MASKS = arrays("bool", SHAPE[1:])


@pytest.fixture
def setting() -> xr.Dataset:
    """Four states of one setting, as ``simulate`` hands them over: without their mesh."""
    states = small_states(settings=4).isel(sample=slice(4, 8))
    return states[list(CF)].drop_vars(["setting", "split"]).assign_attrs(name="a", years=60)


@settings(deadline=None, max_examples=60)
@given(VALUES, MASKS, st.integers(6, 12))
def test_rounding_moves_no_wet_value_by_more_than_half_a_step_and_land_is_nan(values, mask, bits):
    q, step, offset = quantise(values, mask, bits)
    back = dequantise(q, mask, step, offset)
    assert q.min(initial=0) >= 0 and q.max(initial=0) < 2**bits
    single = np.abs(values).max() * np.finfo("float32").eps  # the file's values are float32
    allowed = np.broadcast_to(step[:, None, None] / 2 * (1 + 1e-9) + single, SHAPE)[:, mask]
    assert (np.abs(back - values)[:, mask] <= allowed).all()
    assert np.isnan(back[:, ~mask]).all()


@settings(deadline=None, max_examples=60)
@given(VALUES, MASKS, st.sampled_from([np.nan, 1e30, -np.inf]))
def test_what_stands_on_land_changes_nothing(values, mask, junk):
    for one, other in zip(quantise(values, mask), quantise(np.where(mask, values, junk), mask), strict=True):
        assert np.array_equal(one, other)


def test_a_level_without_variance_comes_back_exactly():
    values, mask = np.full(SHAPE, 34.75), np.ones(SHAPE[1:], bool)
    assert (dequantise(*_with_mask(quantise(values, mask), mask)) == 34.75).all()


def test_a_file_gives_back_values_land_dims_attributes_and_coordinates(setting, tmp_path):
    mesh = small_mesh()
    path = tmp_path / f"a{SUFFIX}"
    write_packed(path, setting, mesh)
    back = read_packed(path, mesh)
    errors = back.attrs.pop("largest_rounding_error")
    assert back.attrs == setting.attrs
    assert set(back.coords) == set(setting.coords)
    for name, coordinate in setting.coords.items():
        assert np.array_equal(back[name], coordinate)
    for name, array in setting.data_vars.items():
        assert back[name].dims == array.dims
        assert back[name].attrs == array.attrs
        assert np.array_equal(np.isnan(back[name]), np.isnan(array))
        worst = float(np.abs(back[name] - array).max())
        assert 0 < worst <= errors[name] * 1.05 + 1e-5, name  # recorded to two digits
    assert back.ssh.dims == ("sample", "y", "x")


def test_a_second_round_through_the_file_changes_nothing_more_than_float_rounding(setting, tmp_path):
    mesh = small_mesh()
    write_packed(tmp_path / f"a{SUFFIX}", setting, mesh)
    once = read_packed(tmp_path / f"a{SUFFIX}", mesh)
    write_packed(tmp_path / f"b{SUFFIX}", once, mesh)
    twice = read_packed(tmp_path / f"b{SUFFIX}", mesh)
    for name in CF:
        assert np.allclose(once[name], twice[name], rtol=1e-6, atol=1e-6, equal_nan=True)


def test_a_failed_write_leaves_no_file(setting, tmp_path, monkeypatch):
    create = packed.zarr.create_group

    def full(*args, **options):
        create(*args, **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed.zarr, "create_group", full)
    with pytest.raises(UserError, match=r"a.zarr.zip \(No space left on device\): free disk space"):
        write_packed(tmp_path / f"a{SUFFIX}", setting, small_mesh())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_as_it_was(setting, tmp_path):
    path = tmp_path / f"a{SUFFIX}"
    write_packed(path, setting, small_mesh())
    before = path.read_bytes()
    broken = setting.assign_coords(label=("sample", np.array([{}] * setting.sizes["sample"])))  # no Zarr type
    with pytest.raises(Exception):  # noqa: B017 whatever Zarr says
        write_packed(path, broken, small_mesh())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_hole_at_a_wet_point_is_refused_before_anything_is_written(setting, tmp_path):
    holed = setting.copy(deep=True)
    holed.toce[0, 0, 4, 3] = np.nan
    with pytest.raises(ValueError, match="toce"):
        write_packed(tmp_path / f"a{SUFFIX}", holed, small_mesh())
    assert list(tmp_path.iterdir()) == []


def _with_mask(quantised, mask):
    q, step, offset = quantised
    return q, mask, step, offset


@settings(deadline=None, max_examples=40)
@given(VALUES, MASKS, st.sampled_from(packed.AXES))
def test_whatever_the_axes_of_the_differences_the_integers_come_back(values, mask, axes):
    q, _, _ = quantise(values, mask)
    whole = packed._over_land(q, mask)
    assert whole.shape == SHAPE and np.array_equal(whole[:, mask], q)
    folded = packed._folded(whole, axes)
    back = (folded >> 1).astype("int16") ^ -(folded & 1).astype("int16")
    for axis in axes:
        back = np.cumsum(back, axis=axis, dtype="int16")
    assert np.array_equal(back, whole)


def test_the_axes_of_the_differences_are_those_of_what_changes_least(tmp_path):
    """Smooth in space and new at each time, or rough and steady: each file is the smaller for its own choice."""
    mesh, rng = small_mesh(), np.random.default_rng(0)
    shape = tuple(mesh.tmask.sizes[d] for d in ("depth", "y", "x"))
    ramp = np.add.outer(np.arange(shape[1]), np.arange(shape[2]))
    smooth = rng.normal(size=(40, shape[0], 1, 1)) * ramp
    steady = np.broadcast_to(rng.normal(size=shape), (40, *shape))
    for values, chosen in ((smooth, [2, 3]), (steady, [0])):
        data = np.where(mesh.tmask.values, values, np.nan)
        states = xr.Dataset({"toce": (("sample", "depth", "y", "x"), data, {"mask": "tmask"})})
        write_packed(tmp_path / f"a{SUFFIX}", states, mesh)
        with packed.ZipStore(tmp_path / f"a{SUFFIX}", mode="r") as store:
            assert packed.open_group(store).attrs["fields"]["toce"]["differences"] == chosen


def test_fewer_bits_make_a_smaller_file_with_larger_errors(setting, tmp_path):
    mesh, sizes, errors = small_mesh(), [], []
    for bits in (8, 11):
        path = tmp_path / f"a{SUFFIX}"
        write_packed(path, setting, mesh, dict.fromkeys(CF, bits))
        sizes.append(path.stat().st_size)
        errors.append(read_packed(path, mesh).attrs["largest_rounding_error"]["toce"])
    assert sizes[0] < sizes[1] and 6 < errors[0] / errors[1] < 10
