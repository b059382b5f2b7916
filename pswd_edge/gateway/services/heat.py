"""Heat that is given to a heat network: what flows, what it is worth, and who may change it."""

import asyncio
import sqlite3
from typing import Literal, NamedTuple

import structlog

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError, control_unavailable
from pswd_edge.gateway.services.heat_account import HeatAccount
from pswd_edge.gateway.services.heat_demand import HeatDemand
from pswd_edge.gateway.services.heat_offers import OfferService
from pswd_edge.gateway.services.polled import Polled
from pswd_edge.gateway.services.thermal import RECOVERY_MIN_W
from pswd_edge.gateway.services.whole import whole_sum
from pswd_edge.gateway.store import Store

LOOK_S = 1.0
HOLD_S = 86_400.0             # heat networks plan by the day
COLDEST_C, WARMEST_C = 40.0, 90.0
_LOG = structlog.get_logger("pswd_edge.gateway")
Connection = Literal["active", "standby", "offline"]
Quality = Literal["high_temperature_grade", "district_heating_grade", "low_temperature_grade", "below_grade"]
Priority = Literal["emergency", "high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("emergency", "high", "normal", "low")
What = Literal["delivery", "temperature", "flow"]
_TABLE = """CREATE TABLE IF NOT EXISTS heat_priorities (
    what TEXT PRIMARY KEY, priority TEXT NOT NULL, origin TEXT NOT NULL, until_utc_s REAL NOT NULL)"""


class HeatView(NamedTuple):
    """None: not known. Temperatures are those of the heat network's water, weighted by flow over the exchangers.

    `revenue_per_h`, `revenue_today` are in the site's currency, None where the site has no price.
    """

    connection: Connection
    heat_w: float | None
    supply_c: float | None
    return_c: float | None
    flow_lpm: float | None
    demand: HeatDemand
    price_per_mwh: float | None
    revenue_per_h: float | None
    revenue_today: float | None
    carbon_today_kg: float | None

    @property
    def quality(self) -> Quality | None:
        """What the supply temperature is good for."""
        if self.supply_c is None:
            return None
        if self.supply_c > WARMEST_C:
            return "high_temperature_grade"
        if self.supply_c >= 70.0:
            return "district_heating_grade"
        return "low_temperature_grade" if self.supply_c >= COLDEST_C else "below_grade"

    @property
    def quality_index(self) -> float | None:
        """0 at 40 °C and below, 10 at 90 °C and above, a straight line between."""
        if self.supply_c is None:
            return None
        return 10.0 * min(1.0, max(0.0, (self.supply_c - COLDEST_C) / (WARMEST_C - COLDEST_C)))


class HeatService:
    """Live facts of heat delivery, and the priorities of commands to it."""

    def __init__(self, live: LiveImage, clock: Clock, store: Store, demand: Polled[HeatDemand],
                 offers: OfferService) -> None:
        self._live, self._clock, self._store, self._demand, self._offers = live, clock, store, demand, offers
        self.account = HeatAccount(store, clock)
        store.run_blocking(lambda db: db.execute(_TABLE).rowcount)

    @property
    def exchangers(self) -> list[str]:
        """The heat exchangers toward the heat network."""
        return [d.id for d in self._live.site.devices_of("heat_exchanger")]

    def read(self) -> HeatView:
        """The delivery now; 503 where control is not alive."""
        if not self._live.alive:
            raise control_unavailable()
        site, demand, price = self._live.site.heat_network, self._demand.read() or HeatDemand(), self._price()
        heat_w, today = self._total("heat_w"), self.account.today
        known = price is not None
        return HeatView(
            self._connection(heat_w), heat_w, self._by_flow("supply_temperature_c"),
            self._by_flow("return_temperature_c"), self._total("flow_lpm"), demand, price,
            max(0.0, heat_w) / 1e6 * price if heat_w is not None and price is not None else None,
            today.revenue if known else None, today.carbon_kg if site.carbon_kg_per_mwh is not None else None)

    def require(self) -> None:
        """404 where the site gives no heat to anybody."""
        if not self.exchangers:
            raise RefusalError(404, "NO_HEAT_NETWORK", "this site has no heat exchanger to a heat network")

    async def run(self) -> None:
        """Look every second, until cancelled; a disk that fails costs figures, not the delivery."""
        while True:
            try:
                await self.look()
            except sqlite3.Error as error:
                _LOG.error("heat account: cannot be written; it goes on in memory", error=str(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Count what was delivered since the last look."""
        carbon = self._live.site.heat_network.carbon_kg_per_mwh
        energy_wh = self.account.add(self._total("heat_w"), self._price(), carbon)
        await self.account.keep()
        await self._offers.count(energy_wh)

    def _price(self) -> float | None:
        """What the heat network says, else what the contract says."""
        said = self._demand.read()
        by_contract = self._live.site.heat_network.price_per_mwh
        return by_contract if said is None or said.price_per_mwh is None else said.price_per_mwh

    # --- who may change what ---------------------------------------------------------------------------------------

    async def require_priority(self, what: What, priority: Priority) -> None:
        """409 where a command of a higher priority is in force."""
        now_s = self._clock.utc_s()
        row = await self._store.run(lambda db: _in_force(db, what, now_s))
        if row is not None and PRIORITIES.index(priority) > PRIORITIES.index(row[0]):
            raise RefusalError(409, "PRIORITY_CONFLICT", f"{what}: a command of priority {row[0]} by {row[1]} is in "
                               f"force, {priority} does not replace it; repeat it with that priority, or wait")

    async def note_priority(self, what: What, priority: Priority, origin: str) -> None:
        """A command is in force now, for as long as its set-points are held."""
        row = (what, priority, origin, self._clock.utc_s() + HOLD_S)
        await self._store.run(lambda db: db.execute(
            "INSERT OR REPLACE INTO heat_priorities (what, priority, origin, until_utc_s) VALUES (?,?,?,?)",
            row).rowcount)

    # --- the image -------------------------------------------------------------------------------------------------

    def _connection(self, heat_w: float | None) -> Connection:
        enabled = [self._enabled(hx) for hx in self.exchangers]
        if heat_w is not None and heat_w >= RECOVERY_MIN_W:
            return "active"
        return "standby" if any(enabled) else "offline"

    def _enabled(self, exchanger: str) -> bool:
        """Whether it answers and is switched on, as far as it has a switch; what it was told last counts first."""
        point = self._live.site.find(exchanger, "enable")
        answers = self._live.signal(exchanger, "heat_w") is not None
        if point is None or not answers:
            return answers
        report = self._live.report()
        told = next((s.written for s in (report.setpoints if report else ()) if s.point == point), None)
        found = self._live.value(point) if told is None else told
        return bool(found)

    def _values(self, signal: str) -> list[float | None]:
        return [self._live.signal(hx, signal) for hx in self.exchangers]

    def _total(self, signal: str) -> float | None:
        return whole_sum(self._values(signal))

    def _by_flow(self, signal: str) -> float | None:
        """Weighted by flow where water moves; the mean where it stands still or its flow is not measured."""
        pairs = [(flow, value) for flow, value in zip(self._values("flow_lpm"), self._values(signal), strict=True)
                 if value is not None]
        total = sum(flow or 0.0 for flow, _ in pairs)
        if total > 0:
            return sum((flow or 0.0) * value for flow, value in pairs) / total
        return sum(value for _, value in pairs) / len(pairs) if pairs else None


def _in_force(db: sqlite3.Connection, what: str, now_utc_s: float) -> tuple[Priority, str] | None:
    row = db.execute("SELECT priority, origin FROM heat_priorities WHERE what = ? AND until_utc_s > ?",
                     (what, now_utc_s)).fetchone()
    return None if row is None else (row[0], row[1])
