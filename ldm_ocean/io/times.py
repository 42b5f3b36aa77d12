"""Times of a source: a sortable number of days per step, and the season, the share of the year gone, in [0, 1).

A NEMO restart tells its season twice: by its date (``ndastp``), and by the steps done, kt Δt in a year of 360 days.
Where the two differ by more than the months of a real calendar do, somebody moved one of them, or the calendar is real.
The file does not say which. The steps are believed, with a warning, for idealised forcing (DINO, GYRE) is computed from
them: the ocean in the file has felt that season, whatever its date, and a run that goes on from it will.
"""

import warnings
from dataclasses import dataclass

import cftime
import numpy as np
import xarray as xr

YEAR_LENGTH = {"360_day": 360, "noleap": 365, "all_leap": 366}
IDEAL_YEAR = 360.0  # [days] idealised models count days without a calendar
SECONDS_PER_DAY = 86400.0
SAME_SEASON = 2.5  # [days] twelve real months leave those of 30 days by at most two


@dataclass(frozen=True)
class Times:
    """``days`` (N,) sort and match the steps of several files; ``season`` (N,), NaN where the file does not tell."""

    days: np.ndarray
    season: np.ndarray


def read_times(data: xr.Dataset, dim: str | None, calendars: dict[str, str]) -> Times:
    """Times along ``dim`` (None: one step without a time axis)."""
    count = data.sizes[dim] if dim else 1
    unknown = np.full(count, np.nan)
    if {"ndastp", "adatrj"} <= set(data.variables) and count == 1:  # a NEMO restart
        return Times(np.atleast_1d(float(data["adatrj"])), np.atleast_1d(_season_of_restart(data)))
    if dim is None or dim not in data.variables or data[dim].dims != (dim,) or data[dim].dtype.kind not in "fiu":
        return Times(unknown, unknown)
    values, units = np.asarray(data[dim].values, "float64"), str(data[dim].attrs.get("units", ""))
    if " since " in units and count and np.isfinite(values).all():
        return _calendar_times(values, units, data[dim].attrs.get("calendar", "standard"), calendars)
    if units.lower() in ("days", "day"):
        return Times(values, values % IDEAL_YEAR / IDEAL_YEAR)
    return Times(values if np.isfinite(values).all() else unknown, unknown)


def _calendar_times(values, units, calendar, calendars) -> Times:
    calendar = calendars.get(calendar, calendar)
    try:
        dates = cftime.num2date(values, units, calendar)
    except ValueError:
        return Times(values, np.full(len(values), np.nan))
    days = cftime.date2num(dates, "days since 0001-01-01", calendar)
    season = []
    for date in dates:
        length = YEAR_LENGTH.get(calendar, 366 if cftime.is_leap_year(date.year, calendar) else 365)
        hours = date.hour + date.minute / 60 + date.second / 3600
        season.append((date.dayofyr - 1 + hours / 24) / length)
    return Times(np.asarray(days, "float64"), np.asarray(season))


def _season_of_restart(data: xr.Dataset) -> float:
    """By the steps done; by the date where those or their length are missing."""
    season = season_of_date(float(data["ndastp"]))
    if not {"kt", "rdt"} <= set(data.variables):
        return season
    forced = season_of_step(float(data["kt"]), float(data["rdt"]))
    if not np.isfinite(forced):
        return season
    if days_apart(forced, season) > SAME_SEASON:
        warnings.warn(
            f"{data.encoding.get('source', 'a restart')}: kt · rdt end on day {forced * IDEAL_YEAR:.0f} of a year of "
            f"360, ndastp on day {season * IDEAL_YEAR:.0f}: the season is that of kt, as in idealised forcing; "
            "with a real calendar take rdt out of the file",
            stacklevel=2,
        )
    return forced


def season_of_step(kt: float, rdt: float) -> float:
    """Share of a year of 360 days at the end of step ``kt``, each of ``rdt`` [s]: what idealised forcing follows."""
    return kt * rdt / SECONDS_PER_DAY % IDEAL_YEAR / IDEAL_YEAR


def days_apart(one: float, other: float) -> float:
    """Days of 360 between two seasons, the short way round."""
    return abs((one - other + 0.5) % 1.0 - 0.5) * IDEAL_YEAR


def season_of_date(yyyymmdd: float) -> float:
    """Share of the year at the end of the day; months of 30 days, at most two days off in a real calendar."""
    if not np.isfinite(yyyymmdd):
        return float("nan")
    month, day = int(yyyymmdd) // 100 % 100, int(yyyymmdd) % 100
    return ((month - 1) * 30 + min(day, 30)) / 360 % 1.0
