"""One minute of the site in numbers, and how minutes lie in the gateway's store."""

import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

FIELDS = (
    "load_mean_w", "load_min_w", "load_max_w",              # of its cycles
    "grid_mean_w", "grid_min_w", "grid_max_w",
    "frequency_min_hz", "frequency_max_hz",
    "battery_mean_w", "soc_mean_percent",                   # of its seconds, as all below
    "quality_seen", "quality_good",                         # grid connection measured, and in its bands
    "heat_mean_w", "recovered_mean_w",                      # of coolant, to the heat network
    "cooling_efficiency",                                   # 0 to 1
    "temperature_seen", "temperature_good", "temperature_off_mean_k",
    "forecast_accuracy",                                    # 0 to 1
    "approved", "rejected",                                 # announcements
    "controls", "controls_in_time",                         # answers to control operations; within a second
    "unauthenticated", "forbidden", "limited", "failed",    # answers 401, 403, 429, 5xx
)
DTYPE = np.dtype([("utc_s", np.int64), *((name, np.float64) for name in FIELDS)])
_SPARE = 1440           # minutes that are added before all are copied
Minutes = NDArray[np.void]
"""Structured rows of `DTYPE`, one a minute, oldest first; `utc_s` is where it begins, NaN is what is not known."""


def minute_of(utc_s: int, known: Mapping[str, float | None]) -> Minutes:
    """One row; what is None or not named is NaN."""
    found = (known.get(name) for name in FIELDS)
    return np.array([(utc_s, *(np.nan if value is None else value for value in found))], DTYPE)


class MinuteTable:
    """Minutes in memory, in order. What `between` gave stays as it is."""

    def __init__(self, minutes: Minutes) -> None:
        self._rows = minutes
        self._count = len(minutes)

    def between(self, since_utc_s: float, until_utc_s: float) -> Minutes:
        """Those that begin in this time, both ends included."""
        times = self._rows["utc_s"][: self._count]
        return self._rows[np.searchsorted(times, since_utc_s) : np.searchsorted(times, until_utc_s, "right")]

    def put(self, minute: Minutes, oldest_utc_s: float) -> None:
        """Add one row, in place of one with the same begin; forget what is older than `oldest_utc_s`."""
        known = self._rows[: self._count]
        if not len(known) or minute["utc_s"][0] <= known["utc_s"][-1] or len(known) == len(self._rows):
            known = known[(known["utc_s"] != minute["utc_s"][0]) & (known["utc_s"] >= oldest_utc_s)]
            known = np.concatenate([known[known["utc_s"] < minute["utc_s"]], minute,
                                    known[known["utc_s"] > minute["utc_s"]]])
            self._rows, self._count = np.concatenate([known, np.zeros(_SPARE, DTYPE)]), len(known)
        else:
            self._rows[self._count] = minute[0]
            self._count += 1


def make_table(db: sqlite3.Connection) -> None:
    """The table, with a column for each field: also where an older release made it."""
    db.execute("CREATE TABLE IF NOT EXISTS minutes (utc_s INTEGER PRIMARY KEY)")
    there = {row[1] for row in db.execute("PRAGMA table_info(minutes)")}
    for name in FIELDS:
        if name not in there:
            db.execute(f"ALTER TABLE minutes ADD COLUMN {name} REAL")


def read_minutes(db: sqlite3.Connection, since_utc_s: float) -> Minutes:
    """The minutes that begin at `since_utc_s` or later."""
    found = db.execute(f"SELECT utc_s, {', '.join(FIELDS)} FROM minutes WHERE utc_s >= ? ORDER BY utc_s",  # noqa: S608
                       (since_utc_s,)).fetchall()
    return np.array([tuple(np.nan if value is None else value for value in row) for row in found], DTYPE)


def write_minutes(db: sqlite3.Connection, minutes: Sequence[Minutes], oldest_utc_s: float) -> None:
    """Keep these, each in place of one with the same begin; forget what is older than `oldest_utc_s`."""
    holes = ", ".join("?" * (1 + len(FIELDS)))
    rows = [tuple(value if value == value else None for value in row.item())  # noqa: PLR0124  # NaN is NULL
            for minute in minutes for row in minute]
    db.executemany(f"INSERT OR REPLACE INTO minutes (utc_s, {', '.join(FIELDS)}) VALUES ({holes})", rows)  # noqa: S608
    db.execute("DELETE FROM minutes WHERE utc_s < ?", (oldest_utc_s,))
