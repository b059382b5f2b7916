"""What was forecast for past minutes, and how wrong that was. In the gateway's store."""

import sqlite3

import numpy as np
from numpy.typing import NDArray

from pswd_edge.gateway.store import Store
from pswd_edge.planning.load_forecast import LEADS_S

KEPT_MIN = 14 * 1440
ACCURACY_MIN = 1440           # over the last day
ACCURACY_LEAST = 12           # forecasts whose truth is known, for a figure
_ERRORS_MOST = 2000           # of each lead, the newest
_TABLE = """CREATE TABLE IF NOT EXISTS load_forecasts (
    minute INTEGER, lead_s INTEGER, load_w REAL NOT NULL, actual_w REAL, PRIMARY KEY (minute, lead_s)) WITHOUT ROWID"""


class LoadRecord:
    """Minutes are numbered since 1970."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.run_blocking(lambda db: db.execute(_TABLE).rowcount)

    async def note(self, minute: int, load_w: float) -> None:
        """The mean load of a minute that is over: what was forecast for it is compared with it."""
        def write(db: sqlite3.Connection) -> None:
            db.execute("UPDATE load_forecasts SET actual_w = ? WHERE minute = ?", (load_w, minute))
            db.execute("DELETE FROM load_forecasts WHERE minute < ?", (minute - KEPT_MIN,))

        await self._store.run(write)

    async def remember(self, forecasts: list[tuple[int, float, float]]) -> None:
        """What is forecast now: (minute, lead in s, load in W) each."""
        rows = [(minute, round(lead_s), load_w) for minute, lead_s, load_w in forecasts]
        await self._store.run(lambda db: db.executemany(
            "INSERT OR REPLACE INTO load_forecasts (minute, lead_s, load_w) VALUES (?, ?, ?)", rows).rowcount)

    async def errors_w(self) -> dict[float, NDArray[np.float64]]:
        """Absolute errors of past forecasts by lead in s."""
        return await self._store.run(_errors)

    async def accuracy(self, lead_s: float, minute: int, floor_w: float) -> float | None:
        """100 less the mean absolute error in % of the truth, over the last day; None before enough is known.

        A truth below `floor_w` counts as that: an idle site must not make every error infinite.
        """
        rows = await self._store.run(lambda db: db.execute(
            "SELECT load_w, actual_w FROM load_forecasts WHERE lead_s = ? AND minute > ? AND actual_w NOT NULL",
            (round(lead_s), minute - ACCURACY_MIN)).fetchall())
        if len(rows) < ACCURACY_LEAST:
            return None
        told, true = np.array(rows).T
        return max(0.0, 100.0 - 100.0 * float(np.mean(np.abs(told - true) / np.maximum(true, floor_w))))


def _errors(db: sqlite3.Connection) -> dict[float, NDArray[np.float64]]:
    return {lead: np.array(db.execute(
        "SELECT abs(load_w - actual_w) FROM load_forecasts WHERE lead_s = ? AND actual_w NOT NULL "
        "ORDER BY minute DESC LIMIT ?", (round(lead), _ERRORS_MOST)).fetchall()).reshape(-1) for lead in LEADS_S}
