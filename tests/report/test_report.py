import json
import re
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba

from ldm_ocean.errors import UserError
from ldm_ocean.ocean.grid import MESH, OceanGrid
from ldm_ocean.report import Example, ReportInputs, curves, dots, figures, tables, views, write_report
from ldm_ocean.report.quicklook import plot

DEPTH, ROWS, COLUMNS = 4, 6, 5
ATTRS = {
    "toce": ("tmask", "degC", "sea_water_potential_temperature", "temperature"),
    "soce": ("tmask", "g kg-1", "sea_water_salinity", "salinity"),
    "uoce": ("umask", "m s-1", "sea_water_x_velocity", "zonal current"),
    "voce": ("vmask", "m s-1", "sea_water_y_velocity", "meridional current"),
    "ssh": ("tmask", "m", "sea_surface_height_above_geoid", "sea level"),
}


@pytest.fixture(scope="module")
def grid():
    wet = np.ones((DEPTH, ROWS, COLUMNS), bool)
    wet[:, 0] = wet[:, -1] = wet[:, :, 0] = False
    wet[-1, 1] = False
    east, north = wet & np.roll(wet, -1, -1), wet & np.roll(wet, -1, -2)
    lon, lat = np.meshgrid(10.0 * np.arange(COLUMNS), 10.0 * np.arange(ROWS) - 25)
    flat, deep = np.full((ROWS, COLUMNS), 1e5), np.full(wet.shape, 100.0)
    mesh = dict.fromkeys(MESH, flat) | {f"e3{p}": deep for p in "tuv"}
    mesh |= {"tmask": wet, "umask": east, "vmask": north, "nav_lon": lon, "nav_lat": lat}
    return OceanGrid(mesh | {"gdept": np.array([50.0, 150.0, 250.0, 350.0])})


def state(seed, members=0):
    rng, data = np.random.default_rng(seed), {}
    for name, (mask, units, standard_name, long_name) in ATTRS.items():
        dims = ("member",) * bool(members) + (("depth",) if name != "ssh" else ()) + ("y", "x")
        sizes = {"member": members, "depth": DEPTH, "y": ROWS, "x": COLUMNS}
        attrs = {"mask": mask, "units": units, "standard_name": standard_name, "long_name": long_name}
        data[name] = (dims, rng.normal(size=[sizes[d] for d in dims]), attrs)
    return xr.Dataset(data)


@pytest.fixture(scope="module")
def inputs(grid):
    score = {"crps": 0.5, "rmse": 1.0, "crps_by_level": [1.0, 0.5, 0.2, None]}
    methods = {m: {name: {k: v for k, v in score.items()} for name in ATTRS} for m in ("model", "climatology")}
    split = {"scores": {"truth": methods, "reconstruction": methods}, "crps_skill": {"climatology": {"toce": 0.3}}}
    split["diagnostics"] = {"model": {"channel": {"bias": 1.0}}, "climatology": {"channel": {"bias": -3.0}}}
    dot = {name: [0.5, 0.4, 0.6] for name in (*ATTRS, "all", "channel")}
    split["relative_crps"] = {"model": dot, "climatology": dot | {"channel": [1.0, None, None]}, "simulation": dot}
    scalars = {m: {"channel": {"mean": 1.0, "low": 0.5, "high": 2.0}} for m in ("truth", "model")}
    return ReportInputs(
        grid,
        depths=(0.0, 240.0, 1e4),
        cases=(
            Example("test-00", {"rn_ztau0": 0.2}, 0.25, state(0), state(1), state(2, members=3), state(4, members=2)),
        ),
        climatology=state(3),
        metrics={
            "units": {"toce": "degC", "channel": "Sv"},
            "splits": {"test": split},
            "settings": {"test-00": {"diagnostics": scalars}},
        },
        reconstruction={"autoencoder": {"test": {"toce": 0.03}}, "EOF": {"test": {"toce": 0.2}}},
        training={"autoencoder": [{"samples": n, "split": "train", "loss": 1.0 / (n + 1)} for n in range(5)]},
        provenance={"version": "0.1", "commands": ["a <b>"], "seeds": {"training": 0}},
    )


@pytest.fixture(scope="module")
def page(inputs, tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("report") / "new" / "report.html", inputs).read_text()


@pytest.fixture
def short(inputs):
    """Settings only, one level: quick to draw."""
    return replace(inputs, depths=(0.0,), climatology=None, metrics={}, reconstruction={}, training={})


def test_the_page_needs_nothing_but_itself(page):
    assert "http" not in page and "<script" not in page and "@import" not in page and "<link" not in page
    targets = re.findall(r'(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert targets and all(t.startswith(("#", "data:image/png;base64,")) for t in targets)


def test_every_section_is_on_the_page_and_in_its_contents(page):
    for name in ("Scores", "Reconstruction", "Setting test-00", "Training", "Provenance"):
        assert f"<h2>{name}</h2>" in page and f">{name}</a>" in page
    for part in ("Maps", "Meridional section", "Profiles", "Barotropic streamfunction"):
        assert f"<h3>{part}</h3>" in page
    for column in ("truth", "reconstruction", "generated mean", "one member", "spread"):
        assert f">{column}</text>" in page
    assert "50 m" in page and "250 m" in page and "350 m" in page and "Scores by depth" in page
    for part in ("CRPS of variables", "CRPS of scalars", "Scalar diagnostics"):
        assert f"{part}</h" in page
    assert ">all variables</text>" in page and ">channel [Sv]</text>" in page
    assert ">the truth's own states</text>" in page.replace("&#x27;", "'").replace("&apos;", "'")


def test_text_from_outside_is_escaped(page):
    assert "a &lt;b&gt;" in page and "a <b>" not in page


def test_figures_take_the_colour_of_the_text_around_them(page):
    assert "currentColor" in page and figures.INK not in page and "prefers-color-scheme: dark" in page


def test_colour_limits_are_shared_along_a_row_but_for_the_spread(grid):
    panels = {name: np.full((ROWS, COLUMNS), float(i)) + np.eye(ROWS, COLUMNS) for i, name in enumerate("abc")}
    figure = figures.draw_rows(
        [figures.Row("x", "m", "", panels | {"spread": 9 * panels["b"]})], figures.map_frame(grid)
    )
    meshes = {axes.get_label(): axes.collections[0] for axes in figure.axes if "|" in axes.get_label()}
    assert len({meshes[f"x|{name}"].get_clim() for name in "abc"}) == 1
    assert meshes["x|spread"].get_clim() != meshes["x|a"].get_clim() and meshes["x|spread"].get_clim()[0] == 0


def test_columns_share_their_colours_and_all_panels_one_window_though_corners_lie_off_the_cells(grid):
    above = {name: i + np.eye(ROWS, COLUMNS) for i, name in enumerate("ab")}
    cells, corners = figures.Row("x", "m", "", above), figures.Row("y", "", figures.ROSSBY, above)
    drawn = figures.draw_columns([(cells, figures.map_frame(grid)), (corners, figures.corner_frame(grid))])
    panels = {axes.get_label(): axes for axes in drawn.axes if "|" in axes.get_label()}
    assert list(panels) == ["x|a", "x|b", "y|a", "y|b"]
    limits = {label: axes.collections[0].get_clim() for label, axes in panels.items()}
    assert limits["x|a"] == limits["x|b"] != limits["y|a"] == limits["y|b"]
    assert limits["y|a"][0] == -limits["y|a"][1]
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels.values()}) == 1


def test_velocity_colours_are_centred_on_zero(grid):
    figure = plot({"truth": state(0)}, "uoce", 0, grid)
    low, high = figure.axes[0].collections[0].get_clim()
    assert low == -high


def test_land_is_grey_whatever_stands_there(grid):
    states = {"truth": state(0), "sample": state(1)}
    figure = plot(states, "toce", 400.0, grid)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())
    for axes in [a for a in figure.axes if "|" in a.get_label()]:
        for j, i in np.ndindex(ROWS, COLUMNS):
            x, y = axes.transData.transform((grid["nav_lon"][j, i], grid["nav_lat"][j, i])).astype(int)
            grey = np.allclose(image[len(image) - 1 - y, x] / 255, to_rgba(figures.LAND), atol=0.01)
            assert grey == (not grid["tmask"][-1, j, i])


def test_the_level_nearest_to_the_depth_asked_for_is_shown(grid):
    assert [views.nearest_level(grid, z) for z in (0, 190, 210, 1e5)] == [0, 1, 2, 3]
    assert "250 m" in plot({"truth": state(0)}, "toce", 240.0, grid).axes[0].get_ylabel()


def test_a_variable_without_depth_has_a_map_of_its_own(grid):
    assert plot({"truth": state(0)}, "ssh", 300.0, grid).axes[0].get_ylabel() == "sea level"


@pytest.mark.parametrize("lacking", ["truth", "reconstruction", "members"])
def test_a_case_without_one_of_its_states_leaves_the_column_out(short, tmp_path, lacking):
    case = replace(short.cases[0], **{lacking: None})
    text = write_report(tmp_path / "r.html", replace(short, cases=(case,))).read_text()
    gone = {"members": ("generated mean", "spread")}.get(lacking, (lacking,))
    columns = re.findall(r">([^<>]*)</text>", text[text.index("<h3>Maps") : text.index("<h3>Profiles")])
    kept = {"truth", "reconstruction", "one member"} - {lacking, *(["one member"] if lacking == "members" else [])}
    assert not set(gone) & set(columns) and kept <= set(columns)


def test_one_member_has_no_spread(short, tmp_path):
    case = replace(short.cases[0], members=state(2, members=1))
    text = write_report(tmp_path / "r.html", replace(short, cases=(case,))).read_text()
    assert ">one member</text>" in text and ">spread</text>" not in text


def test_a_page_of_a_grid_alone_is_still_a_page(grid, tmp_path):
    text = write_report(tmp_path / "r.html", ReportInputs(grid, (0.0,))).read_text()
    assert "<h1>" in text and "<h2>" not in text
    empty = ReportInputs(grid, (0.0,), cases=(Example("x", {}),), training={"a": [{"samples": 1}]})
    assert "No states were given" in write_report(tmp_path / "r.html", empty).read_text()


def test_temperature_alone_makes_a_report_without_currents(short, tmp_path):
    case = Example("x", {}, truth=state(0)[["toce"]])
    text = write_report(tmp_path / "r.html", replace(short, cases=(case,))).read_text()
    assert "Meridional section" in text and "Barotropic" not in text and "speed" not in text


def test_states_of_another_grid_are_refused_in_one_line(short, tmp_path):
    case = Example("x", {}, truth=state(0).isel(y=slice(1, None)))
    with pytest.raises(UserError, match="the grid"):
        write_report(tmp_path / "r.html", replace(short, cases=(case,)))
    assert not list(tmp_path.iterdir())


def test_the_best_of_each_column_is_bold():
    rows = {"a": {"x": 1.0, "y": 5.0}, "b": {"x": 2.0, "y": 4.0}, "c": {"x": None, "y": float("nan")}}
    html = tables.score_table(
        "", "rmse", {m: {k: v for k, v in n.items() if v is not None} for m, n in rows.items()}, {}
    )
    assert re.findall(r"<b>([^<]*)</b>", html) == ["1.00", "4.00"] and html.count("<td>–</td>") == 2


@pytest.mark.parametrize(
    ("score", "winner"),
    [("crps", "a"), ("bias", "b"), ("spread_skill", "c"), ("r2", "c"), ("spread", None)],
)
def test_what_is_best_depends_on_the_score(score, winner):
    assert tables.best({"a": -3.0, "b": 0.1, "c": 1.5}, score) == ({winner} if winner else set())


@pytest.mark.parametrize("seer", ["reconstruction", "simulation"])
def test_who_has_seen_the_truth_is_no_contestant(seer):
    assert tables.best({seer: 0.0, "model": 1.0, "other": 2.0}, "rmse") == {"model"}


def test_the_band_is_the_interval_of_the_simulation_and_methods_without_an_interval_have_a_dot_alone():
    scores = {
        "model": {"a": [0.5, 0.4, 0.7], "b": [0.6, None, None]},
        "climatology": {"a": [1, 1, 1]},
        "simulation": {"a": [0.3, 0.2, 0.35], "b": [0.3, None, None]},
    }
    first, second = dots.draw_scores(scores, {"a": "A", "b": "B"}).axes
    (band,) = first.patches
    assert [band.get_x(), band.get_x() + band.get_width()] == pytest.approx([0.2, 0.35])
    assert not second.patches  # one setting: a line, no interval
    assert [t.get_text() for t in first.get_yticklabels()] == ["model", "climatology"]
    drawn = {tuple(line.get_xdata()) for line in first.lines}
    assert {(0.5,), (0.4, 0.7), (0.3, 0.3), (1, 1)} <= drawn and (0.5,) not in {
        tuple(x.get_xdata()) for x in second.lines
    }
    assert first.get_xscale() == "log" and first.get_xlim()[0] < 0.2 and first.get_xlim()[1] > 1


def test_each_setting_has_the_range_of_its_own_truth_behind_the_generated_mean():
    truth = {"q": {"mean": 2.0, "low": 1.0, "high": 4.0}}
    record = {"diagnostics": {"truth": truth, "model": {"q": {"mean": 2.5, "low": 2.0, "high": 3.0}}}}
    empty = {"q": {"mean": None, "low": None, "high": None}}
    figure = dots.draw_scalars(
        {"s": record, "t": {"diagnostics": {"truth": empty, "model": empty}}}, {"q": "Sv"}, ["q"]
    )
    (bar,) = figure.axes[0].patches
    assert (bar.get_y(), bar.get_height()) == (1.0, 3.0) and figure.axes[0].get_title() == "q [Sv]"
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["s", "t"]


def test_more_panels_than_columns_go_on_in_the_next_row():
    scores = {"model": {str(n): [0.5, 0.4, 0.6] for n in range(8)}}
    figure = dots.draw_scores(scores, {str(n): str(n) for n in range(8)})
    assert sum(axes.get_visible() for axes in figure.axes) == 8 and len(figure.axes) == 12
    labelled = [axes.get_title() for axes in figure.axes if axes.get_yticklabels()[0].get_text() == "model"]
    assert labelled == ["0", "6"]


def test_tables_take_dictionaries_of_any_depth():
    grouped = tables.grouped({"m": {"test": {"crps": {"toce": 1, "ok": True}}, "acc": 3}, "n": {"acc": 4}})
    assert grouped == {("test", "crps"): {"m": {"toce": 1}}, (): {"m": {"acc": 3}, "n": {"acc": 4}}}
    assert json.dumps(tables.turned({"a": {"b": 1}, "c": {"b": 2}})) == '{"b": {"a": 1, "c": 2}}'


def test_zonal_means_and_profiles_weigh_wet_cells_only(grid):
    field = np.where(grid["tmask"], 3.0, np.nan)
    assert np.nanmax(np.abs(views.zonal_mean(field, grid["e1t"]) - 3)) < 1e-12
    assert np.isnan(views.zonal_mean(field, grid["e1t"])[:, 0]).all()
    np.testing.assert_allclose(views.profile(field, grid.volume()), 3.0)


def test_speed_of_a_uniform_current_away_from_walls_is_its_own(grid):
    east, north = (np.full(grid.shape, value) for value in (3.0, 4.0))
    speed = views.speed(np.where(grid["umask"], east, np.nan), np.where(grid["vmask"], north, np.nan), grid)
    assert speed[0, 2, 2] == pytest.approx(5.0)
    assert speed[0, 2, 1] == pytest.approx(np.hypot(1.5, 4.0))  # its western face is a wall
    assert (np.isnan(speed) == ~grid["tmask"]).all()


def test_the_streamfunction_is_shown_wherever_a_corner_touches_water(grid):
    psi = views.streamfunction(np.zeros((2, *grid.shape)), grid)
    assert psi.shape == (2, ROWS, COLUMNS)
    assert not np.isnan(psi[:, :-1]).any() and np.isnan(psi[:, -1]).all()


def test_units_are_written_as_people_write_them():
    assert [figures.unit_label(u) for u in ("degC", "m s-1", "g kg-1", "m2 s-2", "1", "Sv")] == [
        "°C",
        "m s⁻¹",
        "g kg⁻¹",
        "m² s⁻²",
        "",
        "Sv",
    ]


def test_curves_hold_one_panel_for_each_logged_number_and_one_line_for_each_split():
    records = [{"samples": n, "split": s, "loss": 1.0, "lr": 1e-3} for n in range(3) for s in ("train", "validation")]
    figure = curves.draw_curves([*records, {"samples": 9, "split": "train", "loss": float("nan")}])
    assert [axes.get_title() for axes in figure.axes] == ["loss", "lr"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]
    assert curves.draw_curves([]) is None
