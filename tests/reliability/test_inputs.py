"""The same ocean in another guise gives the same states; what cannot be told apart is refused with the reason."""

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ldm_ocean import artefacts
from ldm_ocean.autoencoder.vae import Autoencoder
from ldm_ocean.errors import UserError
from ldm_ocean.io.prepare import prepare
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from ..commands.test_prepare import same_states
from ..conftest import CF, small_mesh, small_states
from ..made_up_ocean import made_up, save

pytestmark = pytest.mark.reliability("R23")

PACKED = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 15.0, "_FillValue": -32767}
GUISES = st.fixed_dictionaries(
    {
        "order": st.permutations(["time", "depth", "lat", "lon"]),
        "north first": st.booleans(),
        "bottom first": st.booleans(),
        "one time": st.booleans(),
        "zarr": st.booleans(),
        "storage": st.sampled_from(["float64", "float32", "int16"]),
        "land": st.sampled_from(["nan", "1e20", "zero"]),
        "deeper": st.booleans(),  # a level below the floor, all of it land
        "width": st.integers(5, 8),
    }
)


def ocean(guise: dict) -> xr.Dataset:
    """What both files show: perhaps a single time, a dry level more, fewer or more columns."""
    data = made_up()
    data = data.isel(time=slice(0, 1)) if guise["one time"] else data
    data = data.isel(lon=np.arange(guise["width"]) % data.sizes["lon"]).assign_coords(
        lon=("lon", 10.0 * np.arange(guise["width"]), data.lon.attrs)
    )
    if guise["deeper"]:
        below = data[["thetao", "so"]].isel(depth=[-1]).assign_coords(depth=[400.0]) * np.nan
        names = {k: xr.concat([data[k], below[k]], "depth").assign_attrs(data[k].attrs) for k in ("thetao", "so")}
        data = data.drop_dims("depth").assign(names)
        data.depth.attrs.update(units="m", positive="down")
    return data


def disguised(data: xr.Dataset, guise: dict) -> tuple[xr.Dataset, dict]:
    attrs = {k: data[k].attrs for k in (*data.data_vars, *data.coords)}
    data = data.isel(lat=slice(None, None, -1)) if guise["north first"] else data
    data = data.isel(depth=slice(None, None, -1)) if guise["bottom first"] else data
    data = data.fillna({"nan": np.nan, "1e20": 1e20, "zero": 0.0}[guise["land"]])
    data = data.transpose(*guise["order"])
    for name, own in attrs.items():
        data[name].attrs = own
    if guise["storage"] == "int16" and guise["land"] == "nan":
        return data, {k: PACKED for k in ("thetao", "so")}
    kind = "float32" if guise["storage"] == "int16" else guise["storage"]
    return data, {k: {"dtype": kind, "_FillValue": None} for k in data.data_vars}


def compare(guise: dict, folder) -> None:
    data = ocean(guise)
    other, encoding = disguised(data, guise)
    plain = prepare([save(data, folder / "a.nc")], folder / "a.zarr").load()
    if guise["zarr"] and "scale_factor" not in str(encoding):
        other.to_zarr(folder / "b", zarr_format=3, consolidated=False)
    else:
        save(other, folder / "b", encoding)
    found = prepare([folder / "b"], folder / "b.zarr").load()
    tolerance = 1e-3 if "int16" in str(encoding) else 1e-5
    same_states(plain, found, tolerance)
    assert np.array_equal(plain.season, found.season)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(GUISES)
def test_an_ocean_in_any_guise_gives_the_same_states(tmp_path_factory, guise):
    compare(guise, tmp_path_factory.mktemp("guise"))


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(GUISES)
def test_an_ocean_in_two_hundred_guises_gives_the_same_states(tmp_path_factory, guise):
    compare(guise, tmp_path_factory.mktemp("guise"))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.permutations(["sample", "depth", "y", "x"]), st.sampled_from(["float32", "float64", ">f4"]))
def test_states_in_another_order_and_precision_stack_to_the_same_tensor(order, kind):
    states = small_states()
    grid, fields = OceanGrid.from_dataset(states), Fields.from_dataset(states)
    other = states.transpose(*order).map(lambda v: v.astype(kind) if v.dtype.kind == "f" else v, keep_attrs=True)
    assert OceanGrid.from_dataset(other).digest == grid.digest
    assert np.array_equal(fields.stack(other, OceanGrid.from_dataset(other)), fields.stack(states, grid))


STRIDES = [(2, 2, 2), (3, 2, 4), (1, 3, 1)]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.tuples(st.integers(1, 7), st.integers(6, 9), st.integers(5, 9)),
    st.sampled_from([(2, 2, 2), (3, 2, 4), (1, 3, 1)]),
)
def test_odd_sizes_reconstruct_on_their_own_shape_and_padding_is_land(shape, stride):
    """The small ocean cut to any size: rows and levels that no stride divides, a wall, a channel one row wide."""
    whole = small_states(2, 2, shape=(7, 9, 9))
    d, y, x = shape
    states = whole.isel(depth=slice(d), y=slice(y), x=slice(x)).assign_attrs(whole.attrs)
    if not states.tmask.values.any():
        return
    grid, fields = OceanGrid.from_dataset(states), Fields.from_dataset(states, list(CF))
    torch.manual_seed(0)
    model = Autoencoder(fields, grid, [stride], [4], [1], 2)
    z = model.encode(torch.from_numpy(fields.stack(states, grid)))
    back = model.decode(z)
    assert z.shape == (4, model.n_tokens, 2) and back.shape[2:] == shape
    assert torch.isfinite(back).all() and not back[:, ~fields.masks(grid)].any()


def test_a_channel_one_cell_wide_and_a_level_of_land_are_no_obstacle(road, states):
    mesh = small_mesh()
    assert int(mesh.tmask[0, :, 0].sum()) == 1 and not mesh.tmask[-1].any()  # the small ocean has both
    codec = artefacts.load_codec(road["vae"])
    x = torch.from_numpy(codec.fields.stack(states, codec.grid))
    assert torch.isfinite(codec.decode(codec.encode(x))).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.rename(lat="a", lon="b").drop_vars(["a", "b"]), "no known variable|role|mesh|coordinates"),
        (lambda d: d.assign(thetao=d.thetao.assign_attrs(units="furlong")), "units 'furlong'"),
        (lambda d: d.assign_coords(lat=("lat", d.lat.values * 0, d.lat.attrs)), "mesh|latitude|coordinates"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_reason(change, reason, tmp_path):
    with pytest.raises(UserError, match=reason):
        prepare([save(change(made_up()), tmp_path / "a.nc")], tmp_path / "a.zarr")
