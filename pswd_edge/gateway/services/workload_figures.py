"""Peak and mean of each workload's power, once a second; kept on disk, so that a restart does not begin anew."""

import asyncio
from typing import NamedTuple

import structlog

from pswd_edge.gateway.store import Store

SAVE_S = 60.0                 # what is lost at most where the machine goes down
_TABLE = """CREATE TABLE IF NOT EXISTS workload_figures (
    workload_id TEXT PRIMARY KEY, announced_utc_s REAL NOT NULL, peak_w REAL NOT NULL, total_w REAL NOT NULL,
    looks INTEGER NOT NULL)"""
_LOG = structlog.get_logger("pswd_edge.gateway")


class Figures(NamedTuple):
    """Of one workload, known by when it was announced: a name can be announced again. `looks` is at least 1."""

    announced_utc_s: float
    peak_w: float
    total_w: float
    looks: int

    @property
    def mean_w(self) -> float:
        """Over the seconds in which its power was known."""
        return self.total_w / self.looks


class WorkloadFigures:
    """Looked at by `WorkloadService`; `run` writes them down."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.run_blocking(lambda db: db.execute(_TABLE))
        rows = store.run_blocking(lambda db: db.execute(
            "SELECT workload_id, announced_utc_s, peak_w, total_w, looks FROM workload_figures").fetchall())
        self._found = {row[0]: Figures(*row[1:]) for row in rows}

    def of(self, workload_id: str, announced_utc_s: float) -> Figures | None:
        """None where its power was never known."""
        found = self._found.get(workload_id)
        return found if found is not None and found.announced_utc_s == announced_utc_s else None

    def look(self, powers_w: dict[tuple[str, float], float | None]) -> None:
        """Take note of powers by name and announcement; None: not known now. Forgets those that are not in it."""
        seen = {}
        for (name, announced), power_w in powers_w.items():
            before = self.of(name, announced)
            if power_w is not None:
                peak, total, looks = before[1:] if before else (power_w, 0.0, 0)
                seen[name] = Figures(announced, max(peak, power_w), total + power_w, looks + 1)
            elif before is not None:
                seen[name] = before
        self._found = seen

    async def run(self) -> None:
        """Until cancelled. A disk that fails costs the figures a restart, and nothing else."""
        while True:
            await asyncio.sleep(SAVE_S)
            try:
                await self.save()
            except Exception as error:  # noqa: BLE001  # figures are no reason to stop
                _LOG.warning("workload figures: cannot be written; tried again", error=str(error))

    async def save(self) -> None:
        """On disk when this returns."""
        rows = [(name, *found) for name, found in self._found.items()]
        await self._store.run(lambda db: (
            db.execute("DELETE FROM workload_figures"),
            db.executemany("INSERT INTO workload_figures VALUES (?, ?, ?, ?, ?)", rows)))
