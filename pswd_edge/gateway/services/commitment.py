"""What was answered to a demand response request, and what was measured of it. Kept in the gateway's store."""

import sqlite3
from typing import Literal

import msgspec
from msgspec import Struct

from pswd_edge.gateway.store import Store

Answered = Literal["accept", "decline"]
Stage = Literal["declined", "scheduled", "active", "completed", "cancelled", "rejected"]
LIVE: frozenset[Stage] = frozenset({"scheduled", "active"})
_KEPT_MAX = 2000
_TABLE = """CREATE TABLE IF NOT EXISTS commitments (
    event_id TEXT PRIMARY KEY, made_utc_s REAL NOT NULL, content BLOB NOT NULL)"""


class Measured(Struct, frozen=True):
    """The reduction against the baseline, while it was measured: `seconds`, Wh, the least and the latest W."""

    seconds: float = 0.0
    energy_wh: float = 0.0
    least_w: float | None = None
    now_w: float | None = None

    @property
    def mean_w(self) -> float | None:
        """None before the first second."""
        return self.energy_wh * 3600.0 / self.seconds if self.seconds > 0 else None

    def after(self, reduction_w: float, seconds: float) -> "Measured":
        """With so many seconds more."""
        least_w = reduction_w if self.least_w is None else min(self.least_w, reduction_w)
        return Measured(self.seconds + seconds, self.energy_wh + reduction_w * seconds / 3600.0, least_w, reduction_w)


class Offer(Struct, frozen=True):
    """What a client commits itself to; `workloads` are throttled first, in this order."""

    reduction_w: float
    duration_s: float
    response_s: float
    workloads: tuple[str, ...] = ()


class Throttled(Struct, frozen=True):
    """A workload that was throttled for a commitment: its target, and what that takes off on average, W."""

    workload_id: str
    target_w: float
    off_w: float


class Commitment(Struct, frozen=True):
    """An answer. All but the first group is empty where it was declined.

    The grid's power is to be at most `limit_w` from `begin_utc_s` to `end_utc_s`; that is `baseline_w`, the mean of the
    `baseline_s` before the answer, less the reduction. Control is led there from `from_utc_s` on, since it moves within
    its ramp. `note` is what control said to it. `told_id` is the message that
    told the operator.
    """

    event_id: str
    answered: Answered
    origin: str
    role: str
    made_utc_s: float
    stage: Stage
    told_id: str
    offer: Offer | None = None
    from_utc_s: float = 0.0
    begin_utc_s: float = 0.0
    end_utc_s: float = 0.0
    baseline_w: float = 0.0
    baseline_s: float = 0.0
    limit_w: float = 0.0
    note: str = ""
    throttled: tuple[Throttled, ...] = ()
    measured: Measured = Measured()


class CommitmentTable:
    """All of them in memory, each on disk when `keep` returns."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.all: dict[str, Commitment] = {c.event_id: c for c in store.run_blocking(_open)}

    async def keep(self, commitment: Commitment) -> None:
        """Add it, or put it in the place of its former state."""
        content = msgspec.json.encode(commitment)

        def write(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO commitments VALUES (?, ?, ?)",
                       (commitment.event_id, commitment.made_utc_s, content))

        await self._store.run(write)
        self.all[commitment.event_id] = commitment

    def live(self) -> list[Commitment]:
        """Those that are to begin or in force, the first to begin first."""
        return sorted((c for c in self.all.values() if c.stage in LIVE), key=lambda c: c.begin_utc_s)


def _open(db: sqlite3.Connection) -> list[Commitment]:
    db.execute(_TABLE)
    db.execute("DELETE FROM commitments WHERE event_id NOT IN "
               "(SELECT event_id FROM commitments ORDER BY made_utc_s DESC LIMIT ?)", (_KEPT_MAX,))
    return [msgspec.json.decode(content, type=Commitment) for (content,) in db.execute(
        "SELECT content FROM commitments ORDER BY made_utc_s")]
