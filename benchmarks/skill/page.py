"""The score board as markdown."""

import itertools
from collections.abc import Callable

from ldm_ocean.metrics.scoring import SIMULATION

from .methods import OURS, PHYSICAL

ABOUT = """# Score board

`python -m benchmarks.skill` wrote this page: {seeds} seeds, {members} members for each of {verifying} verifying states
of a setting. Brackets are 95 % bootstrap intervals over settings ({counts}); bold is the lowest error. Scores are
defined in `ldm_ocean/metrics/kernels.py`. CRPS and energy score are fair; *relative* ones are ratios to climatology,
averaged over variables. Memorisation is the distance to the nearest training state over that of held-out truth,
diversity the variance over the seasons relative to the truth's: both are one for a perfect generator, as is
spread/skill. T–S census is the sliced Wasserstein distance between the volumes of temperature and salinity, in units of
their spread over the ocean. Every other score and interval (RMSE, coverage, diagnostics, spectra, responses) is in the
JSON file beside this page.

`{simulation}` is the truth's own sampling uncertainty: the other equilibrium states of the very setting and season as
an ensemble for each verifying one. It has seen the test truth and is no contestant; what lies within its interval is
chance. Ratios *to ours* are on the same settings: where the interval holds 1, the two are tied. `latent_bootstrap` is
`{ours}` with weather of training states, `state_gaussian` the same statistics on EOFs without an autoencoder.
`{physical}` is `{ours}` with the constraint of stability, stabilised and with balanced currents. {steps}
"""
COSTS = """Training on the machine that wrote this page. That of `{ours}` was not timed: it is the number of its steps
times the time of a step measured here, validation not counted."""
RESPONSE = """Means of diagnostics over sweeps of one parameter at a time, generated against simulated. Counted are the
pairs of diagnostic and parameter whose simulated means spread over more than {signal:g} times what they vary within a
setting, seasons included: of those {pairs}, how many R² reach {right}, and in how many the 95 % interval of the slope
contains 1."""
WEATHER = """What states of the test and edge settings differ by from the mean year of their setting, the doubt about
the mean not in it. Variance is that of EOF coefficients over the truth's, 1 where there is as much. AUC is that of a
random forest which tells generated from true in settings that it was not trained on, by EOF coefficients and by patches
of 3 × 3 × 3 cells; 0.5 is perfect. `real` is the truth against itself, `reconstruction` decode(encode(truth))."""
DENOISING = """Mean square error of denoised validation latents by noise level, in units of what the Gaussian expects to
leave. A network that is not below the Gaussian in every column is not published: F is then 0."""
SIGNAL, RIGHT = 3.0, 0.95
HEADLINE = {
    "crps_relative": "CRPS, relative",
    "crps_to_ours": "CRPS to ours",
    "energy_relative": "energy score, relative",
    "energy_to_ours": "energy score to ours",
    "memorisation": "memorisation",
    "diversity": "diversity",
    "census": "T–S census",
}
DETAILS = {
    "crps": "CRPS",
    "energy": "Energy score",
    "spread_skill": "Spread/skill",
    "coverage": "Share inside the central 80 %",
}
ERRORS = {"crps_relative", "energy_relative", "census", "crps", "energy"}  # the nearer to zero the better
UNITLESS = {"spread_skill", "coverage"}


def page(results: dict) -> str:
    """What a reader decides by; ``results`` (the JSON beside it) has the rest, with intervals."""
    counts = ", ".join(f"{split}: {len(names)}" for split, names in results["settings"].items())
    lines = [
        ABOUT.format(**results["about"], counts=counts, simulation=SIMULATION, ours=OURS, physical=PHYSICAL),
        "## Costs",
        "",
    ]
    lines += [COSTS.format(ours=OURS), "", *costs(results["methods"])]
    for split, by_method in results["splits"].items():
        headline = [(k, "all", title) for k, title in HEADLINE.items() if k in next(iter(by_method.values()))]
        lines += ["", f"## {split}", "", *_table(by_method, headline, _interval)]
        for kind, title in DETAILS.items():
            names = list(next(iter(by_method.values()))[kind])
            units = {} if kind in UNITLESS else results["units"]
            columns = [(kind, n, n + (f" [{units[n]}]" if n in units else "")) for n in names]
            lines += ["", f"### {title}, {split}", "", *_table(by_method, columns, lambda triple: _number(triple[0]))]
    if results["weather"]:
        lines += ["", "## Weather", "", *weather_table(results["weather"])]
    if results["denoising"]:
        lines += ["", "## Denoising", "", *denoising_table(results["denoising"])]
    if results["response"]:
        lines += ["", "## Parameter response", "", *response_table(results["response"])]
    return "\n".join(lines) + "\n"


def costs(methods: dict) -> list[str]:
    """Table of parameters and seconds."""
    lines = [_row(["method", "parameters", "training [s]", "a member [s]"]), "|---" * 4 + "|"]
    for name, m in methods.items():
        training = ", ".join(f"{stage} {_number(s)}" for stage, s in m["training_seconds"].items()) or "–"
        cells = [f"{m['parameters']:,}" if m["parameters"] else "–", training]
        lines.append(_row([name, *cells, _number(m["seconds_a_member"])]))
    return lines


def weather_table(weather: dict) -> list[str]:
    """How much weather there is, and whether it is told from true."""
    columns = list(next(iter(weather.values())))
    lines = [WEATHER, "", _row(["weather of", *columns]), "|---" * (1 + len(columns)) + "|"]
    return lines + [_row([name, *(_number(own.get(k)) for k in columns)]) for name, own in weather.items()]


def denoising_table(bands: dict) -> list[str]:
    """Loss of network and Gaussian by noise level."""
    ends = bands["sigma"]
    titles = [f"{_number(a)} – {_number(b)}" for a, b in itertools.pairwise(ends)]
    lines = [DENOISING, "", _row(["σ", *titles]), "|---" * len(ends) + "|"]
    return lines + [_row([name, *map(_number, bands[name])]) for name in ("network", "gaussian")]


def response_table(response: dict) -> list[str]:
    """How many responses of each method are right."""
    pairs = [own for diagnostics in response.values() for own in diagnostics.values()]
    pairs = [own for own in pairs if own["signal"] is not None and own["signal"] > SIGNAL]
    lines = [RESPONSE.format(signal=SIGNAL, pairs=len(pairs), right=RIGHT), ""]
    lines += [_row(["method", f"R² ≥ {RIGHT}", "slope 1 in its interval"]), "|---" * 3 + "|"]
    for method in [k for k in pairs[0] if k != "signal"] if pairs else []:
        own = [pair[method] for pair in pairs]
        right = sum(one["r2"] is not None and one["r2"] >= RIGHT for one in own)
        inside = sum(one["low"] is not None and one["low"] <= 1 <= one["high"] for one in own)
        lines.append(_row([method, str(right), str(inside)]))
    return lines


def _table(by_method: dict, columns: list[tuple[str, str, str]], shown: Callable[[list], str]) -> list[str]:
    lines = [_row(["method", *(title for _, _, title in columns)]), "|---" * (1 + len(columns)) + "|"]
    for method, scores in by_method.items():
        cells = []
        for kind, name, _ in columns:
            found = {m: abs(own[kind][name][0]) for m, own in by_method.items() if own[kind][name][0] is not None}
            ranked = {m: x for m, x in found.items() if m != SIMULATION and kind in ERRORS}
            cell = shown(scores[kind][name])
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
