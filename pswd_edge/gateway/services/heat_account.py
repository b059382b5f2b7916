"""What heat was delivered today, and what it is worth: measured, and kept over a restart."""

import sqlite3
from datetime import UTC, datetime
from typing import NamedTuple

from pswd_edge.clock import Clock
from pswd_edge.gateway.store import Store

KEEP_EACH_S = 10.0
GAP_MAX_S = 5.0               # between two looks; what happened in a longer one is not known and not counted
_TABLE = """CREATE TABLE IF NOT EXISTS heat_days (
    day TEXT PRIMARY KEY, energy_wh REAL NOT NULL, revenue REAL NOT NULL, carbon_kg REAL NOT NULL)"""


class HeatDay(NamedTuple):
    """One day in UTC: heat, what it was sold for (the site's currency), and the CO2 that others did not make."""

    day: str
    energy_wh: float = 0.0
    revenue: float = 0.0
    carbon_kg: float = 0.0


class HeatAccount:
    """Adds up what is measured. At most ten seconds of it are lost when the gateway is killed."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        store.run_blocking(lambda db: db.execute(_TABLE).rowcount)
        self._looked_s = self._kept_s = clock.monotonic_s()
        self.today = store.run_blocking(lambda db: _read(db, day_of(clock.utc_s())))

    def add(self, heat_w: float | None, price_per_mwh: float | None, carbon_kg_per_mwh: float | None) -> float:
        """Count the heat since the last look; returns it in Wh, 0 where it is not known."""
        now_s, day = self._clock.monotonic_s(), day_of(self._clock.utc_s())
        dt_s, self._looked_s = now_s - self._looked_s, now_s
        if day != self.today.day:
            self.today = HeatDay(day)
        if heat_w is None or heat_w <= 0 or not 0 < dt_s <= GAP_MAX_S:
            return 0.0
        energy_wh = heat_w * dt_s / 3600
        self.today = self.today._replace(
            energy_wh=self.today.energy_wh + energy_wh,
            revenue=self.today.revenue + energy_wh / 1e6 * (price_per_mwh or 0.0),
            carbon_kg=self.today.carbon_kg + energy_wh / 1e6 * (carbon_kg_per_mwh or 0.0))
        return energy_wh

    async def keep(self) -> None:
        """Write it down where the last time was ten seconds ago."""
        if self._clock.monotonic_s() - self._kept_s < KEEP_EACH_S:
            return
        self._kept_s, today = self._clock.monotonic_s(), self.today
        await self._store.run(lambda db: db.execute(
            "INSERT OR REPLACE INTO heat_days (day, energy_wh, revenue, carbon_kg) VALUES (?,?,?,?)", today).rowcount)


def day_of(utc_s: float) -> str:
    """The day in UTC, as 2026-03-01."""
    return datetime.fromtimestamp(utc_s, UTC).strftime("%Y-%m-%d")


def _read(db: sqlite3.Connection, day: str) -> HeatDay:
    row = db.execute("SELECT day, energy_wh, revenue, carbon_kg FROM heat_days WHERE day = ?", (day,)).fetchone()
    return HeatDay(*row) if row else HeatDay(day)
