"""Heat that clients offer to the heat network for a time: checked, told to it, kept, and measured."""

import sqlite3
from typing import Any, Literal, NamedTuple

from pswd_edge.clock import Clock, iso_utc
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.sender import Sender
from pswd_edge.gateway.services.delivery import Delivery
from pswd_edge.gateway.services.heat_account import KEEP_EACH_S
from pswd_edge.gateway.store import Store

WATER_WH_PER_L_K = 4060.0 / 3600    # at 75 degC, as control has it
KEPT_S = 7 * 86_400.0
OFFERS_MAX = 500              # that are not over
_TABLE = """CREATE TABLE IF NOT EXISTS heat_offers (
    id TEXT PRIMARY KEY, origin TEXT NOT NULL, begin_utc_s REAL NOT NULL, end_utc_s REAL NOT NULL,
    heat_w REAL NOT NULL, status TEXT NOT NULL, response TEXT NOT NULL, delivered_wh REAL NOT NULL DEFAULT 0)"""
_COLUMNS = "id, origin, begin_utc_s, end_utc_s, heat_w, status, response, delivered_wh"


class Offer(NamedTuple):
    """Heat from `begin_utc_s` to `end_utc_s`; W, °C, L/min, %. None: not said."""

    begin_utc_s: float
    end_utc_s: float
    heat_w: float
    supply_c: float | None = None
    flow_max_lpm: float | None = None
    reliability_percent: float | None = None
    workload_dependent: bool = False
    workloads: tuple[str, ...] = ()
    flexibility_w: float | None = None


class Offered(NamedTuple):
    """An offer that was told to the heat network; `delivered_wh` is what flowed within its time so far."""

    id: str
    origin: str
    begin_utc_s: float
    end_utc_s: float
    heat_w: float
    status: Literal["acknowledged", "pending", "rejected"]
    response: str
    delivered_wh: float = 0.0


class OfferService:
    """Keeps offers for a week."""

    def __init__(self, live: LiveImage, clock: Clock, store: Store, delivery: Delivery) -> None:
        self._live, self._clock, self._store, self._delivery = live, clock, store, delivery
        store.run_blocking(lambda db: db.execute(_TABLE).rowcount)
        self.known = store.run_blocking(_read)
        self._grown: dict[str, Offered] = {}
        self._kept_s = clock.monotonic_s()

    def deliverable_w(self) -> float | None:
        """What the exchangers can give by their declared flow and fall; None where the site declares neither."""
        thermal = self._live.site.control.thermal
        exports = thermal.exports if thermal else ()
        return sum(e.flow.high * 60 * WATER_WH_PER_L_K * e.fall_c for e in exports) if exports else None

    def check(self, offer: Offer) -> None:
        """Raises RefusalError 404 for a workload that nobody announced, 409 for heat that cannot be given."""
        if len(self.current()) >= OFFERS_MAX:
            raise RefusalError(409, "TOO_MANY_OFFERS", f"{OFFERS_MAX} offers are not over yet: wait for some to end")
        report = self._live.report()
        known = {w.announcement.workload_id for w in (report.workloads if report else ())}
        missing = [w for w in offer.workloads if w not in known]
        if missing:
            raise RefusalError(404, "WORKLOAD_NOT_FOUND", f"workload {missing[0]}: nobody has announced it here")
        thermal, able_w = self._live.site.control.thermal, self.deliverable_w()
        if able_w is not None and offer.heat_w > able_w:
            raise RefusalError(
                409, "INSUFFICIENT_HEAT_CAPACITY", f"{offer.heat_w / 1e6:g} MW offered: the exchangers give "
                f"{able_w / 1e6:.3g} MW at most", details={
                    "requested_heat_mw": offer.heat_w / 1e6, "available_capacity_mw": round(able_w / 1e6, 6),
                    "suggested_alternatives": [f"Offer at most {able_w / 1e6:.3g} MW"]})
        exports = thermal.exports if thermal else ()
        most_c = max((e.high_c for e in exports), default=None)
        if most_c is not None and offer.supply_c is not None and offer.supply_c > most_c:
            raise RefusalError(409, "SUPPLY_TEMPERATURE_UNAVAILABLE", f"{offer.supply_c:g} degC offered: the "
                               f"exchangers are declared for {most_c:g} degC at most")

    async def tell(self, offer: Offer, sender: Sender) -> Offered:
        """Deliver the offer and keep it; the same sender's id again gets what the first one got, as far as it is now.

        Raises:
            RefusalError: 503 where there is no heat network to tell.
        """
        told = await self._delivery.send("heat", "availability", _payload(offer), sender.origin, sender.id)
        made = Offered(sender.id, sender.origin, offer.begin_utc_s, offer.end_utc_s, offer.heat_w, told.status,
                       told.response, self.known[sender.id].delivered_wh if sender.id in self.known else 0.0)
        old_utc_s = self._clock.utc_s() - KEPT_S
        await self._store.run(lambda db: _write(db, [made], old_utc_s))
        self.known = {i: o for i, o in self.known.items() if o.end_utc_s > old_utc_s} | {made.id: made}
        return made

    def current(self) -> list[Offered]:
        """Those whose time is now or to come, that the heat network has not rejected; the next one first."""
        now_s = self._clock.utc_s()
        found = [o for o in self.known.values() if o.end_utc_s > now_s and o.status != "rejected"]
        return sorted(found, key=lambda o: o.begin_utc_s)

    async def count(self, energy_wh: float) -> None:
        """What was delivered just now, for all offers whose time it is, and answers that came later.

        Both are looked at and written down every ten seconds.
        """
        now_s = self._clock.utc_s()
        for offer in self.known.values():
            if energy_wh > 0 and offer.begin_utc_s <= now_s < offer.end_utc_s:
                self._grown[offer.id] = offer._replace(delivered_wh=offer.delivered_wh + energy_wh)
        self.known |= self._grown
        if self._clock.monotonic_s() - self._kept_s < KEEP_EACH_S:
            return
        self._kept_s = self._clock.monotonic_s()
        await self._hear()
        grown, self._grown = list(self._grown.values()), {}
        if grown:
            await self._store.run(lambda db: _write(db, grown, now_s - KEPT_S))

    async def _hear(self) -> None:
        """Offers that were delivered in the background have an answer by now."""
        for offer in [o for o in self.known.values() if o.status == "pending"]:
            told = await self._delivery.find(offer.id)
            if told is not None and told.status != "pending":
                self._grown[offer.id] = self.known[offer.id]._replace(status=told.status, response=told.response)
        self.known |= self._grown


def _payload(offer: Offer) -> dict[str, Any]:
    """What the heat network is told, in SI units and its field's own."""
    return {
        "begin": iso_utc(offer.begin_utc_s), "end": iso_utc(offer.end_utc_s), "heat_w": offer.heat_w,
        "supply_temperature_c": offer.supply_c, "flow_max_lpm": offer.flow_max_lpm,
        "reliability_percent": offer.reliability_percent, "workload_dependent": offer.workload_dependent,
        "flexibility_w": offer.flexibility_w,
    }


def _read(db: sqlite3.Connection) -> dict[str, Offered]:
    rows = db.execute(f"SELECT {_COLUMNS} FROM heat_offers ORDER BY begin_utc_s").fetchall()  # noqa: S608  # our own words
    return {row[0]: Offered(*row) for row in rows}


def _write(db: sqlite3.Connection, offers: list[Offered], old_utc_s: float) -> None:
    db.execute("DELETE FROM heat_offers WHERE end_utc_s < ?", (old_utc_s,))
    db.executemany(f"INSERT OR REPLACE INTO heat_offers ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", offers)  # noqa: S608  # our own words
