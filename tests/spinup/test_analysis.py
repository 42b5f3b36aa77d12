"""Drift, shock, distance and equivalent years against closed forms; what a table says of them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks import spinup as benchmark
from ldm_ocean.metrics.scoring import jsonable
from ldm_ocean.simulate.dino import Dino
from ldm_ocean.spinup.analysis import control, describe, distance, equivalent_years, trend, windows
from ldm_ocean.spinup.experiment import SHOCK, _costs, _setting, _starts
from ldm_ocean.spinup.figures import colours, draw_distance, draw_shock
from ldm_ocean.spinup.plan import Plan
from ldm_ocean.spinup.results import write_page
from ldm_ocean.spinup.run import Record, Run
from ldm_ocean.spinup.starts import GENERATED, NEAREST, REST, TRUTH, Case
from ldm_ocean.spinup.summary import held, summary
from ldm_ocean.spinup.trajectory import annual, swings

from ..conftest import small_states


def record(deep, years=(), energy=(0.0, 1.0)) -> Record:
    return Record({}, {"deep": list(deep)}, [np.full((1, 1, 1, 2), y) for y in years], list(energy), seconds=6.0)


def test_annual_means_are_those_of_twelve_months_and_of_the_rest():
    assert annual([1.0] * 12 + [3.0] * 12 + [4.0, 6.0]).tolist() == [1.0, 3.0, 5.0]
    assert annual([]).size == 0


@given(st.floats(-5, 5), st.floats(-5, 5), st.integers(2, 40))
def test_the_trend_of_a_straight_line_is_ten_times_its_slope_in_every_window(start, slope, years):
    line = start + slope * np.arange(years)
    assert trend(line) == pytest.approx(10 * slope, abs=1e-6)
    assert windows(line, 2) == pytest.approx(np.full(years - 1, 10 * slope), abs=1e-6)


def test_one_year_has_no_trend():
    assert np.isnan(trend(np.array([1.0])))


def test_shock_counts_every_rise_and_every_fall():
    assert swings(np.array([3.0, 5.0, 1.0, 1.0])) == 6.0 and np.isnan(swings(np.array([])))


def test_distance_is_the_weighted_root_mean_square():
    weights = np.array([0.75, 0.25]).reshape(1, 1, 1, 2)
    states = [np.array([0.0, 2.0]).reshape(1, 1, 1, 2), np.ones((1, 1, 1, 2))]
    assert distance(states, np.zeros((1, 1, 1, 2)), weights) == pytest.approx([1.0, 1.0])


@given(st.floats(0.1, 100), st.floats(1, 80))
def test_an_exponential_approach_is_worth_the_years_that_it_takes(near, efolding):
    cold = 100 * np.exp(-np.arange(1, 151) / efolding)
    worth = equivalent_years(cold, near)
    reached = efolding * np.log(100 / near)
    assume(abs(reached - round(reached)) > 1e-6)  # where rounding decides
    assert worth == (max(1, np.ceil(reached)) if reached < 150 else np.inf)


def test_a_start_is_described_over_its_own_years_and_drifts_over_the_last_of_them():
    months = np.repeat([5.0, 1.0, 2.0, 3.0], 12)
    weights = np.full((1, 1, 1, 2), 0.5)
    told = describe(record(months, (4.0, 0.0, 0.0, 0.0)).trajectory, 4, 3, np.zeros((1, 1, 1, 2)), weights)
    assert told["annual"]["deep"] == [5.0, 1.0, 2.0, 3.0] and told["drift"]["deep"] == pytest.approx(10.0)
    assert told["distance"] == [4.0, 0.0, 0.0, 0.0] and told["shock"] == 1.0
    assert told["seconds_a_year"] == pytest.approx(6.0 / 4)
    assert describe(AT_ONCE.trajectory, 4, 3, np.zeros(()), weights) == {"blown": True}


def test_the_control_knows_the_range_of_its_means_and_of_its_trends():
    rising_then_falling = np.repeat([0.0, 1.0, 2.0, 1.0, 0.0], 12)
    own = control(record(rising_then_falling, (1.0,)).trajectory, 2, np.zeros((1, 1, 1, 2)), np.full((1, 1, 1, 2), 0.5))
    assert own["range"]["deep"] == [0.0, 2.0] and own["drift"]["deep"] == pytest.approx([-10.0, 10.0])


def setting(drifts, control=(-0.1, 0.3), truth=(0.2, -0.2)) -> dict:
    def starts(values, start, later):
        return [{"drift": {"deep": d}, "shock": 2.0, "distance": [start, later], "blown": False} for d in values]

    return {
        "control": {"drift": {"deep": list(control)}},
        "roads": {
            "generated": {"starts": starts(drifts, 0.5, 0.4), "equivalent_years": [30.0, None],
                          "nearer_than_cold_ever": [True, False]},
            "truth": {"starts": starts(truth, 0.1, 0.1), "equivalent_years": [None, None],
                      "nearer_than_cold_ever": [True, True]},
        },
    }  # fmt: skip


@pytest.mark.parametrize(("drift", "share"), [(0.3, 1.0), (0.39, 1.0), (-0.39, 1.0), (0.41, 0.0), (-0.41, 0.0)])
def test_a_drift_is_held_in_the_range_of_the_control_or_within_twice_that_of_truth(drift, share):
    assert held(setting([drift]), "generated", "deep") == share


def test_the_summary_is_relative_to_truth_and_says_how_many_starts_are_beyond_the_cold_one():
    told = summary(setting([0.0, 9.0]), 150.0, ["deep"])
    assert told["generated"]["shock"] == [1.0, 1.0] and told["generated"]["held"] == {"deep": 0.5}
    assert told["generated"]["equivalent"] == 90.0 and told["generated"]["capped"] == 1
    assert told["truth"]["capped"] == 2 and told["truth"]["equivalent"] == 150.0
    assert told["generated"]["nearer_than_cold_ever"] == 1


def test_the_figure_of_shocks_shows_the_largest_of_every_setting():
    mild, wild = setting([0.0, 0.0]), setting([0.0, 0.0])
    wild["roads"]["generated"]["starts"][0]["shock"] = 20.0
    figure = draw_shock({"mild": mild, "wild": wild}, "J")
    assert all(axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > 10 for axes in figure.axes)


def test_any_number_of_roads_has_colours_and_none_that_of_rest():
    told = colours({f"road {n}": {} for n in range(9)} | {REST: {}})
    assert len(told) == 10 and list(told.values()).count(told[REST]) == 1
    assert len(set(list(told.values())[:5])) == 5


# --- from finished runs to the page

EFOLDING, COLD_YEARS = 10.0, 40
CASE = Case("a", {"p": 1.0}, 0.0)
AT_ONCE = Record({}, blown=True)
"""Blew up in its first month."""


def ran(*distances, energy=(0.0, 2.0), deep=1.0) -> Record:
    """A run whose annual mean states lie at ``distances`` from zero, with constant deep water."""
    return record([deep] * 12 * len(distances), distances, energy)


def cold() -> Record:
    return ran(*100 * np.exp(-np.arange(1, COLD_YEARS + 1) / EFOLDING))


def truth() -> Record:
    """About zero, with trends of either sign."""
    return record(np.repeat([0.0, 1.0, 2.0, 1.0, 0.0], 12), [0.0] * 5, (0.0, 2.0))


def late() -> Record:
    """Blew up in its twentieth month, when it was nearer than any."""
    return Record({}, {"deep": [1.0] * 20}, [np.zeros((1, 1, 1, 2))] * 2, [0.0, 8.0], 4.0, blown=True)


def loop() -> dict[str, list[Record]]:
    return {
        GENERATED: [ran(50.0, 20.0, 30.0), late(), ran(90.0, 60.0, 30.0)],
        NEAREST: [AT_ONCE, AT_ONCE],
        TRUTH: [truth(), AT_ONCE],
        REST: [cold()],
    }


def told(folder, roads: dict[str, list[Record]], years: int = 3) -> dict:
    """The result of finished runs."""
    runs = {r: [Run(f"{r}-{n}", Dino().parameters(), 0, 0, 12) for n in range(len(own))] for r, own in roads.items()}
    for road, own in roads.items():
        for run, one in zip(runs[road], own, strict=True):
            one.save(folder / f"{run.name}.npz")
    looked = {"preflight": {"cfl": 0.1}, "warnings": ["too <wet>"], "seconds": 0.5}
    starts = {road: looked for road in roads if road != REST}
    settings = {"a": _setting(CASE, starts, runs, Plan(years=years), folder, np.full((1, 1, 1, 2), 0.5))}
    about = {"members": 2, "years": years, "cold_years": COLD_YEARS}
    head = {"about": about, "units": {"deep": "degC"}, "boxes": ["deep"], "shock": SHOCK}
    return jsonable(head | {"costs": _costs(settings), "settings": settings})


def test_a_start_that_blew_up_is_worth_nothing_and_holds_nothing(tmp_path):
    result = told(tmp_path, loop())
    own = result["settings"]["a"]
    rows = summary(own, COLD_YEARS, ["deep"])
    exact = [np.ceil(EFOLDING * np.log(100 / second)) for second in (20.0, 60.0)]
    assert own["roads"][GENERATED]["equivalent_years"] == exact
    assert rows[GENERATED]["equivalent"] == np.mean(exact) and rows[GENERATED]["capped"] == 0
    assert rows[GENERATED]["start"] == pytest.approx([50.0, 90.0])
    assert rows[GENERATED]["nearer_than_cold_ever"] == 0
    assert rows[GENERATED]["blow_ups"] == 1 and rows[GENERATED]["held"]["deep"] == pytest.approx(2 / 3)
    assert rows[GENERATED]["shock"] == [1.0, 4.0, 1.0]  # what it shook before it blew up is not hidden
    assert rows[NEAREST] == {"starts": 2, "blow_ups": 2, "held": {"deep": 0.0}, "nearer_than_cold_ever": 0}
    assert "year" not in result["costs"][NEAREST] and result["costs"][GENERATED]["year"] > 0


@pytest.mark.parametrize("harm", [[AT_ONCE], [late()], [late(), AT_ONCE]])
@pytest.mark.parametrize("road", [GENERATED, NEAREST, TRUTH, REST])
def test_whatever_road_blows_up_is_counted_on_a_whole_page(tmp_path, road, harm):
    result = told(tmp_path, loop() | {road: harm})
    rows = summary(result["settings"]["a"], COLD_YEARS, ["deep"])
    assert rows[road]["blow_ups"] == len(harm) and not {"start", "equivalent"} & rows[road].keys()
    assert "Shock" in write_page(tmp_path / "a.html", result).read_text()


def test_the_page_is_whole_where_nothing_runs(tmp_path):
    page = write_page(tmp_path / "a.html", told(tmp_path, {road: [AT_ONCE] for road in loop()}))
    assert "blow-ups" in page.read_text()


def test_a_single_year_shows_no_second_one(tmp_path):
    result = told(tmp_path, loop() | {GENERATED: [ran(50.0)]}, years=1)
    assert not {"year_after", "equivalent"} & summary(result["settings"]["a"], COLD_YEARS, ["deep"])[GENERATED].keys()


def test_the_second_year_is_the_one_after_adjustment(tmp_path):
    result = told(tmp_path, loop())
    assert summary(result["settings"]["a"], COLD_YEARS, [])[GENERATED]["year_after"] == pytest.approx([20.0, 60.0])


def test_without_truth_nothing_is_said_of_equilibrium(tmp_path):
    """The end of the cold start has not arrived: distance from it is called that, and worth no years."""
    roads = {GENERATED: [ran(50.0, 20.0, 30.0, energy=(0.0, 7.0))], REST: [cold()]}
    result = told(tmp_path, roads)
    own = result["settings"]["a"]
    assert not {"equivalent_years", "nearer_than_cold_ever"} & own["roads"][GENERATED].keys() and "control" not in own
    end = np.mean([y[0, 0, 0, 0] for y in cold().years[-10:]])
    expected = {"starts": 1, "blow_ups": 0, "shock_absolute": [7.0], "from_cold_end": pytest.approx([50.0 - end])}
    assert summary(own, COLD_YEARS, [])[GENERATED] == expected
    page = write_page(tmp_path / "a.html", result).read_text()
    assert "equilibrium is not known" in page and "shock [J]" in page and "D, first year" not in page
    assert draw_shock(result["settings"], "J").axes[0].get_ylabel() == "shock [J]"
    assert draw_distance(result["settings"]).axes[0].get_ylabel() == "distance from the cold start's end"


def test_what_was_seen_before_the_start_is_on_the_page(tmp_path):
    assert "generated: too &lt;wet&gt;" in write_page(tmp_path / "a.html", told(tmp_path, loop())).read_text()


def test_too_little_water_is_not_hidden_by_a_level_ocean_and_is_warned_of(tmp_path):
    states = small_states().isel(sample=[0, 1]).drop_vars("setting")[["toce", "soce", "uoce", "voce", "ssh", "season"]]
    states = states.merge(small_states().isel(sample=[0, 1]).drop_dims("sample"))
    states["ssh"] = (states.ssh * 0 + np.array([-0.5, 0.0])[:, None, None]).assign_attrs(states.ssh.attrs)
    for name in ("uoce", "voce"):
        states[name] = (states[name] * 0).assign_attrs(states[name].attrs)
    states.assign_attrs(small_states().attrs, seconds_a_state=0.1).to_netcdf(tmp_path / f"a-{NEAREST}.nc")
    with pytest.warns(UserWarning, match=f"a, {NEAREST}: .*-0.50 m"):
        looked = _starts(CASE, None, Plan(roads=(NEAREST,)), tmp_path)[NEAREST]
    assert looked["preflight"]["sea_level"] == pytest.approx(-0.5) and "-0.50 m" in " ".join(looked["warnings"])


def verdicts(roads: list[dict]) -> list[str]:
    costs = {REST: {"whole": 150.0}, GENERATED: {"state": 1.0, "restart": 1.0, "year": 1.0}}
    table = benchmark._targets({str(n): own for n, own in enumerate(roads)}, costs)
    return [line.split("|")[-2].strip() for line in table.splitlines()[2:]]


def test_targets_are_met_by_every_start_or_missed():
    good = {"starts": 2, "blow_ups": 0, "shock": [1.0, 2.0], "nearer_than_cold_ever": 2, "held": {"deep": 1.0}}
    assert verdicts([good, good]) == ["met"] * 5
    for key, bad, row in (("blow_ups", 1, 0), ("held", {"deep": 0.9}, 1), ("shock", [0.1, 2.1], 2),
                          ("nearer_than_cold_ever", 1, 3)):  # fmt: skip
        assert verdicts([good, good | {key: bad}]) == ["missed" if n == row else "met" for n in range(5)]
    assert verdicts([{"starts": 2, "blow_ups": 2}]) == ["missed"] * 4 + ["met"]


def test_the_benchmarks_page_counts_what_blew_up_and_links_its_own_figures(tmp_path):
    result = told(tmp_path, loop()) | {"boxes": [], "once": {"simulations": 1.0}}
    text = benchmark.page(result, Path("elsewhere/again"))
    assert "| nearest_setting | 2 | 2 |  |  |  |  | 0 of 2 |  |" in text and "](again-shock.png)" in text
