"""What the heat network asks for, as it says itself. Old words count as none."""

import asyncio
import math
from typing import Any, NamedTuple

import structlog

from pswd_edge.clock import Clock
from pswd_edge.errors import PswdError
from pswd_edge.gateway.services.heat_ports import Asks

ASK_EACH_S, ASK_S = 30.0, 2.0
OLDEST_S = 300.0
_LOG = structlog.get_logger("pswd_edge.gateway")


class HeatDemand(NamedTuple):
    """W; None: it did not say. `price_per_mwh` replaces that of the contract while it is said."""

    request_w: float | None = None
    peak_w: float | None = None
    season: str | None = None
    price_per_mwh: float | None = None


class DemandService:
    """Asks every half minute, where the site file names the heat network's address."""

    def __init__(self, outside: Asks, clock: Clock) -> None:
        self._outside, self._clock = outside, clock
        self._said: tuple[float, HeatDemand] | None = None
        self._silent = False

    def read(self) -> HeatDemand:
        """The newest, nothing where that is older than five minutes."""
        if self._said is None or self._clock.monotonic_s() - self._said[0] > OLDEST_S:
            return HeatDemand()
        return self._said[1]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(ASK_EACH_S)

    async def turn(self) -> None:
        """Ask once; silence is logged once."""
        if self._outside.endpoint("heat") is None:
            return
        try:
            reply = await self._outside.ask("heat", "GET", "/conditions", timeout_s=ASK_S)
        except PswdError as error:
            if not self._silent:
                _LOG.warning("heat network: does not say what it needs", reason=str(error))
            self._silent = True
            return
        if reply.status == 200:
            self._said, self._silent = (self._clock.monotonic_s(), _demand(reply.content)), False


def _demand(said: dict[str, Any]) -> HeatDemand:
    season = said.get("season")
    return HeatDemand(_number(said, "current_request_w"), _number(said, "peak_forecast_w"),
                      season[:60] if isinstance(season, str) else None, _number(said, "price_per_mwh", -1e6))


def _number(said: dict[str, Any], name: str, least: float = 0.0) -> float | None:
    """A number of theirs, where it is one: what comes from outside is believed no further than its form."""
    found = said.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if math.isfinite(found) and least <= found <= 1e12 else None
