"""The facts about a data set as a page of Markdown."""

from ldm_ocean.report.figures import unit_label

from .facts import YEAR

MEANING = {
    "rn_ztau0": ("Pa", "peak of the westerly wind stress"),
    "rn_tstar_n": ("°C", "northern target of surface temperature"),
    "rn_avt0": ("m²/s", "background vertical diffusivity"),
    "r_bot": ("1/s", "bottom drag"),
    "c_k": ("", "mixing by turbulent kinetic energy"),
    "c_eps": ("", "dissipation of turbulent kinetic energy"),
}
SPLITS = ("train", "validation", "test", "edge")  # in this order, others after them
PARTS = ("between", "season", "weather")
MOST = 2 / 3  # share of the variance from which on a part is called most of it
ABOUT_PARTS = """Variance of the equilibrium states about the mean of all settings, by volume, in percent: between the
settings' means, of the common season (one cosine and sine of the year), and the rest, the weather, whose standard
deviation has a unit. What finitely many states feign is taken off (`ldm_ocean/metrics/anova.py` says how)."""


def page(found: dict, captions: dict[str, str], stem: str) -> str:
    """Markdown; ``stem`` is the page's own name, which its pictures begin with."""
    parts = [
        f"# {found['name']}\n\n{found['model']}. `python -m benchmarks.oceans data/{found['name']}` wrote this page.",
        f"    {found['command']}\n\nmakes the data (extra `sim`), or goes on where it was stopped. They open with",
        f'    from ldm_ocean import open_states\n    states = open_states("data/{found["name"]}", equilibrium=True)',
        "## What it is",
        _table(["", ""], _what(found)),
        "## What it looks like",
        *(f"![{name} of {found['name']}]({stem}-{name}.png)\n\n{text}" for name, text in captions.items()),
        "## What there is to learn",
        ABOUT_PARTS,
        _table(["", "depth", *(f"{p} [%]" for p in PARTS), "std of weather"], _shares(found)),
        " ".join(sentences(found)) if found["variance"]["settings"] > 1 else "There is one setting so far.",
        "## How sound it is",
        *_soundness(found),
    ]
    return "\n\n".join(parts) + "\n"


def sentences(found: dict) -> list[str]:
    """What the parts of the variance mean for who learns from the data."""
    table, name = found["variance"]["parts"], {k: v[0] for k, v in found["labels"].items()}
    share = {v: {b: {p: own[p] / own["total"] for p in PARTS} for b, own in t.items()} for v, t in table.items()}
    whole = {v: own["all"] for v, own in share.items()}
    settings = [f"{name[v]} ({100 * own['between']:.0f} %)" for v, own in whole.items() if own["between"] > MOST]
    weather = [f"{name[v]} ({100 * own['weather']:.0f} %)" for v, own in whole.items() if own["weather"] > MOST]
    mixed = [name[v] for v, own in whole.items() if max(own["between"], own["weather"]) <= MOST]
    text = []
    if settings:
        text.append(f"Between settings lies most variance of {_and(settings)}: what parameters do to the mean state.")
    if weather:
        text.append(
            f"Weather is most variance of {_and(weather)}: there a distribution is to be learnt, no one answer."
        )
    if mixed:
        text.append(f"Neither has two thirds of the variance of {_and(mixed)}.")
    places = [(own["weather"], f"{name[v]}, {b}") for v, t in share.items() for b, own in t.items() if b != "all"]
    if places:
        (most, there), (least, here) = max(places), min(places)
        text.append(
            f"Weather's share is largest in {there} ({100 * most:.0f} %), least in {here} ({100 * least:.1f} %)."
        )
    return [*text, _seasons(share, name), *_dimensions(found)]


def _seasons(share: dict, name: dict[str, str]) -> str:
    shares = [(own["season"], f"{name[v]}, {b}") for v, t in share.items() for b, own in t.items()]
    if not any(season for season, _ in shares):
        return "There are no seasons."
    most, where = max(shares)
    return f"The season has at most {100 * max(most, 0):.1f} % ({where})."


def _dimensions(found: dict) -> list[str]:
    own, states = found["variance"], found["states"]
    years = states["equilibrium"][0] / 2 * states["days_apart"][0] / YEAR
    text = [
        f"Of all variables, each standardised, {own['eofs']['weather']} EOFs hold 90 % of the weather in "
        f"{own['states']} states, {own['eofs']['between']} that of the means of {own['settings']} settings."
    ]
    if own["eofs"]["weather"] > own["states"] / 5:
        text.append("So many that the states are too few to tell the true number, which is larger.")
    return [*text, f"Weather slower than {years:.2g} years (half of a setting's states) counts as between settings."]


def _what(found: dict) -> list[list[str]]:
    g, states, costs = found["geometry"], found["states"], found["costs"]
    levels, rows, columns = g["shape"]
    south, north = (f"{abs(v):.1f}°{'S' if v < 0 else 'N'}" for v in g["latitude"])
    lines = [
        [
            "grid",
            f"{columns} × {rows} columns of {_range(g['east_km'])} × {_range(g['north_km'])} km, {south} to {north}",
        ],
        ["", f"{levels} levels, {_range(g['thickness_m'])} m thick; floor at {_range(g['floor_m'])} m"],
        ["", f"{g['cells']} cells, {g['wet_percent']:.0f} % wet; {g['values_a_state']} values a state"],
    ]
    for k, (low, high) in found["parameters"].items():
        unit, meaning = MEANING.get(k, ("", ""))
        lines.append([f"`{k}`", f"{low:g} to {high:g} {unit}".strip() + (f", {meaning}" if meaning else "")])
    lines += [["settings", ", ".join(f"{_of(*n)} {k}" for k, n in _ordered(found["splits"]))]]
    lines += [["states", f"{_states(states)}; {states['equilibrium'][2] + states['on the way'][2]} in all"]]
    if found["series"]:
        text = f'{_states(found["series"])}: `open_states("data/{found["name"]}/series")`'
        lines.append(["long series", text])
    lines += [["size", f"{costs['MB']:.1f} MB"], ["model years", f"{costs['model_years']:.0f}"]]
    if "core_hours" in costs:
        text = f"{costs['core_seconds_a_year']:.0f} core-seconds a model year, {costs['core_hours']:.1f} core-hours"
        lines.append(["cost", text])
    return lines


def _states(states: dict) -> str:
    kinds = [f"{_range(states['equilibrium'][:2])} in equilibrium, {_range(states['days_apart'])} days apart"]
    if states["on the way"][1]:
        kinds.append(f"{_range(states['on the way'][:2])} on the way there")
    return f"of each setting {' and '.join(kinds)}"


def _shares(found: dict) -> list[list[str]]:
    lines = []
    for v, bands in found["variance"]["parts"].items():
        title, unit = found["labels"][v]
        for band, own in bands.items():
            shares = [f"{100 * own[p] / own['total']:.1f}" if own["total"] else "–" for p in PARTS]
            std = f"{max(own['weather'], 0) ** 0.5:.2g} {unit_label(unit)}"
            lines.append([f"{title} (`{v}`)" if band == "all" else "", band, *shares, std])
    return lines


def _soundness(found: dict) -> list[str]:
    own, parts = found["soundness"], found["variance"]["parts"]
    lines = [[k.replace("_", " "), *(f"{v:.3g}" for v in values)] for k, values in own["settings"].items()]
    text = [_table(["of the settings", "least", "median", "most"], lines)] if lines else []
    errors = []
    for v, error in own["largest_rounding_error"].items():
        title, unit = found["labels"][v]
        weather = max(parts[v]["all"]["weather"], 0) ** 0.5
        errors.append(
            f"{title} {error:.2g} {unit_label(unit)}" + (f" ({100 * error / weather:.0f} %)" if weather else "")
        )
    if errors:
        text.append(
            f"Largest rounding errors, and their share of the weather's standard deviation: {', '.join(errors)}."
        )
    blown = [f"`{k}` on day {day:g}" for k, day in own["blew_up"].items()]
    return [*text, f"Blew up and are passed over: {', '.join(blown)}." if blown else "No setting blew up."]


def _table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *lines])


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _range(ends: list[float]) -> str:
    low, high = (f"{v:.3g}" if v < 1000 else f"{v:.0f}" for v in ends)
    return low if low == high else f"{low} to {high}"


def _ordered(splits: dict[str, list[int]]) -> list[tuple[str, list[int]]]:
    return sorted(
        splits.items(), key=lambda item: (SPLITS.index(item[0]) if item[0] in SPLITS else len(SPLITS), item[0])
    )


def _of(finished: int, planned: int) -> str:
    return f"{finished}" if finished == planned else f"{finished} (of {planned})"
