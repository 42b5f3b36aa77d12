"""HTML tables of scores and provenance from nested dictionaries, whatever their depth.

``{method: {…: {column: number}}}``: every path between the method and its numbers makes one table, with a row for
each method that has it, a column for each name, and the best number of a column in bold.
"""

from collections.abc import Callable, Iterator
from html import escape
from math import floor, isfinite, log10

# What "best" means, by a part of the score's name; of anything else, less is better.
BEST: dict[str, Callable[[float], float]] = {
    "spread_skill": lambda v: abs(v - 1),
    "ratio": lambda v: abs(v - 1),
    "bias": abs,
    "r2": lambda v: -v,
    "correlation": lambda v: -v,
}
NO_CONTESTANTS = ("reconstruction", "simulation")  # they have seen the truth
NEUTRAL = ("spread", "skill", "count", "members", "samples", "time", "seconds")  # numbers that are no contest


def leaves(
    tree: dict, kind: type | tuple[type, ...], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """(path, value) of every value of ``kind`` in nested dictionaries; booleans are no numbers."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, kind, (*path, str(key)))
        elif isinstance(value, kind) and not isinstance(value, bool):
            yield (*path, str(key)), value


def grouped(methods: dict, kind: type | tuple[type, ...] = (int, float)) -> dict[tuple[str, ...], dict[str, dict]]:
    """``{path between method and column: {method: {column: value}}}`` in order of appearance."""
    tables: dict[tuple[str, ...], dict[str, dict]] = {}
    for (method, *middle, column), value in ((p, v) for p, v in leaves(methods, kind) if len(p) > 1):
        tables.setdefault(tuple(middle), {}).setdefault(method, {})[column] = value
    return tables


def best(values: dict[str, float], score: str) -> set[str]:
    """The methods whose number is best; none where there is nothing to compare."""
    finite = {method: v for method, v in values.items() if isfinite(v) and method not in NO_CONTESTANTS}
    if len(finite) < 2 or score in NEUTRAL:
        return set()
    key = next((rule for part, rule in BEST.items() if part in score), lambda v: v)
    winner = min(map(key, finite.values()))
    return {method for method, v in finite.items() if key(v) == winner}


def turned(table: dict[str, dict]) -> dict[str, dict]:
    """``{a: {b: x}}`` → ``{b: {a: x}}``."""
    out: dict[str, dict] = {}
    for outer, row in table.items():
        for inner, x in row.items():
            out.setdefault(inner, {})[outer] = x
    return out


def score_table(title: str, score: str, rows: dict[str, dict[str, float]], notes: dict[str, str]) -> str:
    """One table; ``score`` says how to find the best, ``notes`` what stands below a column's name, line by line."""
    columns = list(dict.fromkeys(column for numbers in rows.values() for column in numbers))
    winners = {c: best({m: n[c] for m, n in rows.items() if c in n}, score or c) for c in columns}
    formats = {c: _decimals([n[c] for n in rows.values() if c in n]) for c in columns}
    head = "".join(f'<th scope="col">{escape(c)}{_small(notes.get(c, ""))}</th>' for c in columns)
    body = ""
    for method, numbers in rows.items():
        cells = (_cell(numbers.get(c), formats[c], method in winners[c]) for c in columns)
        body += f'<tr><th scope="row">{escape(method)}</th>{"".join(cells)}</tr>\n'
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    head = f"<thead><tr><th></th>{head}</tr></thead>"
    return f'<div class="wide"><table>{caption}{head}\n<tbody>{body}</tbody></table></div>'


def provenance_list(record: dict) -> str:
    """Nested facts as nested definition lists."""
    items = "".join(f"<dt>{escape(str(key))}</dt><dd>{_fact(value)}</dd>" for key, value in record.items())
    return f"<dl>{items}</dl>"


def _fact(value) -> str:
    if isinstance(value, dict):
        return provenance_list(value)
    if isinstance(value, list | tuple):
        if all(isinstance(v, int | float) for v in value):
            return f"<code>{escape(', '.join(map(str, value)))}</code>"
        return "".join(f"<div>{_fact(v)}</div>" for v in value)
    return f"<code>{escape(str(value))}</code>"


def _small(text: str) -> str:
    return "".join(f"<small>{escape(line)}</small>" for line in text.splitlines())


def _cell(value, digits: int, winner: bool) -> str:
    if value is None or not isfinite(value):
        return "<td>–</td>"
    large = abs(value) >= 1e5 or (value != 0 and abs(value) < 0.5 * 10**-digits)
    text = f"{value:.2e}" if large else f"{value:.{digits}f}"
    return f"<td><b>{text}</b></td>" if winner else f"<td>{text}</td>"


def _decimals(values: list[float]) -> int:
    """Decimals that show three digits of the median number of a column, five at most."""
    sizes = sorted(abs(v) for v in values if isfinite(v) and v != 0)
    if not sizes or all(isinstance(v, int) for v in values):
        return 0
    return min(max(2 - floor(log10(sizes[len(sizes) // 2])), 0), 5)
