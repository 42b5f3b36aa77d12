"""Times of a source: a sortable number of days per step, and the season, the share of the year gone, in [0, 1)."""

from dataclasses import dataclass

import cftime
import numpy as np
import xarray as xr

YEAR_LENGTH = {"360_day": 360, "noleap": 365, "all_leap": 366}
IDEAL_YEAR = 360.0  # [days] idealised models count days without a calendar


@dataclass(frozen=True)
class Times:
    """``days`` (N,) sort and match the steps of several files; ``season`` (N,), NaN where the file does not tell."""

    days: np.ndarray
    season: np.ndarray


def read_times(data: xr.Dataset, dim: str | None, calendars: dict[str, str]) -> Times:
    """Times along ``dim`` (None: one step without a time axis)."""
    count = data.sizes[dim] if dim else 1
    unknown = np.full(count, np.nan)
    if {"ndastp", "adatrj"} <= set(
        data.variables
    ) and count == 1:  # a NEMO restart: date yyyymmdd, days since the start
        return Times(np.atleast_1d(float(data["adatrj"])), np.atleast_1d(_season_of_date(float(data["ndastp"]))))
    if dim is None or dim not in data.variables:
        return Times(unknown, unknown)
    values, units = np.asarray(data[dim].values, "float64"), str(data[dim].attrs.get("units", ""))
    if " since " in units and np.isfinite(values).all():
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


def _season_of_date(yyyymmdd: float) -> float:
    """Share of the year at the end of the day; months of 30 days, at most two days off in a real calendar."""
    month, day = int(yyyymmdd) // 100 % 100, int(yyyymmdd) % 100
    return ((month - 1) * 30 + min(day, 30)) / 360 % 1.0
