"""The grid: what is measured, what its operator tells, and what the site knows by contract where nobody tells."""

from collections import deque
from typing import NamedTuple

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import control_unavailable
from pswd_edge.gateway.services.market import STABILITIES, GridConditions, Renewables, Stability
from pswd_edge.gateway.services.polled import Polled
from pswd_edge.gateway.services.stability import WINDOW_S, stability_index, stability_of


class GridView(NamedTuple):
    """None: not known. Frequency and `stability_index` (0 to 10, 10 calm) are measured, the rest is told.

    `told` is True where the operator's own word, no older than 5 minutes, is in it; else these are the site's facts by
    contract, and what only the operator knows is None. `stability` is the worse of measured and told.
    """

    operator_id: str | None
    frequency_hz: float | None
    carbon_intensity_g_per_kwh: float | None
    renewable_percent: float | None
    price_per_mwh: float | None
    stability_index: float | None = None
    stability: Stability | None = None
    renewables: Renewables = Renewables()
    next_hour_price_per_mwh: float | None = None
    peak: bool | None = None
    told: bool = False


class GridService:
    """Live grid facts. `look` once a second keeps the last ten seconds of the frequency."""

    def __init__(self, live: LiveImage, clock: Clock, conditions: Polled[GridConditions]) -> None:
        self._live, self._clock, self._conditions = live, clock, conditions
        self._looks: deque[tuple[float, float]] = deque(maxlen=64)

    def look(self) -> None:
        """Take note of the frequency."""
        hz = self._live.value(self._live.site.control.frequency)
        if hz is not None:
            self._looks.append((self._clock.monotonic_s(), hz))

    def read(self) -> GridView:
        """The grid now; 503 where control is not alive."""
        if not self._live.alive:
            raise control_unavailable()
        return self.facts()

    def facts(self) -> GridView:
        """As `read`, also without control: the measured values are None then."""
        contract, told = self._live.site.grid, self._conditions.read()
        hz, index = self._live.value(self._live.site.control.frequency), self._index()
        if told is None:
            return GridView(contract.operator_id or None, hz, contract.carbon_intensity_g_per_kwh,
                            contract.renewable_percent, contract.price_per_mwh, index, stability_of(index))
        return GridView(
            contract.operator_id or told.operator_id or None, hz,
            _first(told.carbon_intensity_g_per_kwh, contract.carbon_intensity_g_per_kwh),
            _first(told.renewable_percent, contract.renewable_percent),
            _first(told.price_per_mwh, contract.price_per_mwh), index, _worse(stability_of(index), told.stability),
            told.renewables, told.next_hour_price_per_mwh, told.peak, told=True)

    def _index(self) -> float | None:
        hz = self._live.value(self._live.site.control.frequency)
        if hz is None:
            return None
        now_s = self._clock.monotonic_s()
        looks = [look for look in self._looks if now_s - look[0] <= WINDOW_S] or [(now_s, hz)]
        return stability_index(looks, self._live.site.grid.nominal_frequency_hz)


def _first(told: float | None, contract: float | None) -> float | None:
    return contract if told is None else told


def _worse(*found: Stability | None) -> Stability | None:
    return max((word for word in found if word is not None), key=STABILITIES.index, default=None)
