"""The score board as markdown."""

from ldm_ocean.metrics.scoring import SIMULATION

from .methods import OURS, PHYSICAL

ABOUT = """# Score board

`python -m benchmarks.skill` wrote this page: {seeds} seeds, {members} members for each of {verifying} verifying states
of a setting. Brackets are 95 % bootstrap intervals over settings ({counts}); bold is the lowest error. Scores are
defined in `ldm_ocean/metrics/kernels.py`. CRPS and energy score are fair; *relative* ones are ratios to climatology,
averaged over variables. Memorisation is the distance to the nearest training state over that of held-out truth,
diversity the variance over the seasons relative to the truth's: both are one for a perfect generator, as is
spread/skill. Coverage is that of the central 80 % interval, where there are members enough. T–S census is the sliced
Wasserstein distance between the volumes of temperature and salinity, in units of their spread over the ocean.

`{simulation}` is the truth's own sampling uncertainty: the other equilibrium states of the very setting and season as
an ensemble for each verifying one. It has seen the test truth and is no contestant; what lies within its interval is
chance. `{physical}` is `{ours}` with the constraint of stability, stabilised and with balanced currents. {steps}
"""
COSTS = """Training on the machine that wrote this page. That of `{ours}` was not timed: it is the number of its steps
times the time of a step measured here, validation not counted."""
PHYSICS = """Means over members, seasons and seeds; of the truth the mean over the settings (least … greatest). Where
the truth is not zero, zero is no target: a state is physical where it lies in the range of the data's own.
`surface_heat_flux`, where it stands, is that into the ocean by its own forcing, zero over a year in equilibrium."""
POWER = """log10 of the mean zonal power spectrum over that of the truth [dex], in boxes without land of all levels:
*long* waves are longer than four columns. Zero is right; a negative number is power that lacks; bold is nearest to
zero."""
RESPONSE = """Means of diagnostics over one-at-a-time sweeps, generated against simulated: slope with its interval, R².
*Signal* is the spread of the simulated means over the sweep in units of that within a setting, seasons
included: where it is small, a slope means little."""
HEADLINE = {
    "relative_crps": "CRPS, relative",
    "relative_energy": "energy score, relative",
    "memorisation": "memorisation",
    "diversity": "diversity",
    "census": "T–S census",
}
DETAILS = {
    "crps": "CRPS",
    "energy": "Energy score",
    "rmse": "RMSE of the ensemble mean",
    "spread_skill": "Spread/skill",
    "coverage": "Coverage",
    "diagnostic_crps": "CRPS of scalar diagnostics",
}
ERRORS = {
    "relative_crps",
    "relative_energy",
    "census",
    "crps",
    "energy",
    "rmse",
    "diagnostic_crps",
    "power",
}  # the nearer to zero the better
UNITLESS = {"spread_skill", "coverage"}


def page(results: dict) -> str:
    """All tables of ``results`` (the JSON beside it)."""
    counts = ", ".join(f"{split}: {len(names)}" for split, names in results["settings"].items())
    lines = [
        ABOUT.format(**results["about"], counts=counts, simulation=SIMULATION, ours=OURS, physical=PHYSICAL),
        "## Costs",
        "",
    ]
    lines += [COSTS.format(ours=OURS), "", *costs(results["methods"])]
    for split, by_method in results["splits"].items():
        lines += ["", f"## {split}", "", *_table(by_method, [(k, "all", title) for k, title in HEADLINE.items()])]
        for kind, title in DETAILS.items():
            names = list(next(iter(by_method.values()))[kind])
            units = {} if kind in UNITLESS else results["units"]
            columns = [(kind, n, n + (f" [{units[n]}]" if n in units else "")) for n in names]
            lines += ["", f"### {title}, {split}", "", *_table(by_method, columns)]
        lines += ["", f"### Physics, {split}", "", PHYSICS, ""]
        lines += physics(by_method, results["truth"][split], results["units"])
        bands = [("power", n, n) for n in next(iter(by_method.values()))["power"]]
        if bands:
            lines += ["", f"### Power by wavelength, {split}", "", POWER, "", *_table(by_method, bands)]
    if results["response"]:
        lines += ["", "## Parameter response", "", RESPONSE, *response_tables(results["response"])]
    return "\n".join(lines) + "\n"


def costs(methods: dict) -> list[str]:
    """Table of parameters and seconds."""
    lines = [_row(["method", "parameters", "training [s]", "a member [s]"]), "|---" * 4 + "|"]
    for name, m in methods.items():
        training = ", ".join(f"{stage} {_number(s)}" for stage, s in m["training_seconds"].items()) or "–"
        cells = [f"{m['parameters']:,}" if m["parameters"] else "–", training]
        lines.append(_row([name, *cells, _number(m["seconds_a_member"])]))
    return lines


def physics(by_method: dict, truth: dict, units: dict[str, str]) -> list[str]:
    """Table of scalars: the truth with its range, then each method with its interval."""
    lines = [_row(["method", *(f"{k} [{units[k]}]" for k in truth)]), "|---" * (1 + len(truth)) + "|"]
    lines.append(
        _row(["truth", *(f"{_number(x)} ({_number(low)} … {_number(high)})" for x, low, high in truth.values())])
    )
    for method, scores in by_method.items():
        lines.append(_row([method, *(_interval(scores["diagnostic_mean"][k]) for k in truth)]))
    return lines


def response_tables(response: dict) -> list[str]:
    """One table a parameter."""
    lines = []
    for parameter, diagnostics in response.items():
        names = [k for k in next(iter(diagnostics.values())) if k != "signal"]
        lines += ["", f"### {parameter}", "", _row(["diagnostic", "signal", *names]), "|---" * (2 + len(names)) + "|"]
        for diagnostic, own in diagnostics.items():
            if own["signal"] is None:  # it never varies, like the flow through walls
                continue
            cells = [
                f"{_interval([own[n][k] for k in ('slope', 'low', 'high')])}, {_number(own[n]['r2'])}" for n in names
            ]
            lines.append(_row([diagnostic, _number(own["signal"]), *cells]))
    return lines


def _table(by_method: dict, columns: list[tuple[str, str, str]]) -> list[str]:
    lines = [_row(["method", *(title for _, _, title in columns)]), "|---" * (1 + len(columns)) + "|"]
    for method, scores in by_method.items():
        cells = []
        for kind, name, _ in columns:
            found = {m: abs(own[kind][name][0]) for m, own in by_method.items() if own[kind][name][0] is not None}
            ranked = {m: x for m, x in found.items() if m != SIMULATION and kind in ERRORS}
            cell = _interval(scores[kind][name])
            best = method in ranked and ranked[method] == min(ranked.values())
            cells.append(f"**{cell}**" if best else cell)
        lines.append(_row([method, *cells]))
    return lines


def _interval(triple: list[float | None]) -> str:
    value, low, high = (_number(x) for x in triple)
    return value if triple[1] is None else f"{value} [{low}, {high}]"


def _number(x: float | None) -> str:
    return "–" if x is None else f"{x:.3g}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
