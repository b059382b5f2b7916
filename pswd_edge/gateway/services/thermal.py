"""Cooling and heat recovery: all CDUs as one, chillers, heat exchangers."""

from typing import Literal, NamedTuple

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import control_unavailable
from pswd_edge.gateway.services.whole import whole_sum

CoolingType = Literal["air", "single_phase_liquid", "two_phase_liquid", "hybrid"]
RECOVERY_MIN_W = 1000.0      # less heat than this is a loss through pipes, not a delivery


class ThermalView(NamedTuple):
    """None: not known. `supply_c` enters the IT equipment, `return_c` leaves it, both weighted by flow.

    `vapor_percent`: the share of the two-phase coolant that has become vapour on its way, weighted by flow.
    """

    cooling_type: CoolingType | None
    load_percent: float | None
    supply_c: float | None
    return_c: float | None
    flow_lpm: float | None
    pressure_bar: float | None
    recovery_active: bool | None
    recovered_w: float | None
    vapor_percent: float | None = None


class ThermalService:
    """Live thermal facts."""

    def __init__(self, live: LiveImage) -> None:
        self._live = live

    def read(self) -> ThermalView:
        """The thermal side now; 503 where control is not alive."""
        if not self._live.alive:
            raise control_unavailable()
        cdus = [device.id for device in self._live.site.devices_of("cdu")]
        flows = [self._live.signal(cdu, "flow_lpm") for cdu in cdus]
        recovered_w = self._total("heat_exchanger", "heat_w")
        return ThermalView(
            self.cooling_type(), self._load_percent(),
            self._by_flow(cdus, flows, "supply_temperature_c"), self._by_flow(cdus, flows, "return_temperature_c"),
            self._total("cdu", "flow_lpm"), self._mean("cdu", "pressure_bar"),
            None if recovered_w is None else recovered_w >= RECOVERY_MIN_W, recovered_w,
            self._by_flow(cdus, flows, "vapor_quality_percent"),
        )

    def supply_c(self) -> float | None:
        """What goes to the load now: from the CDUs, weighted by flow; from the chillers where there are none."""
        cdus = [device.id for device in self._live.site.devices_of("cdu")]
        flows = [self._live.signal(cdu, "flow_lpm") for cdu in cdus]
        found = self._by_flow(cdus, flows, "supply_temperature_c")
        return self._mean("chiller", "leaving_temperature_c") if not cdus else found

    def flow_lpm(self) -> float | None:
        """The flow of all CDUs now."""
        return self._total("cdu", "flow_lpm")

    def cooling_type(self) -> CoolingType | None:
        """What kind of cooling the site has, by its devices; None where it has none that we know."""
        site = self._live.site
        kinds: set[CoolingType] = set()
        for cdu in site.devices_of("cdu"):
            two_phase = site.find(cdu.id, "vapor_quality_percent") is not None
            kinds.add("two_phase_liquid" if two_phase else "single_phase_liquid")
        if not kinds:
            return "air" if site.devices_of("chiller") else None
        return kinds.pop() if len(kinds) == 1 else "hybrid"

    @property
    def recovers_heat(self) -> bool:
        """True where the site has a heat exchanger to a heat network."""
        return bool(self._live.site.devices_of("heat_exchanger"))

    def _load_percent(self) -> float | None:
        """Heat that the CDUs carry, of what they can; where they do not measure it, the chillers' load."""
        rating_w, heat_w = self._live.site.control.cooling_rating_w, self._total("cdu", "heat_w")
        share = 100 * heat_w / rating_w if heat_w is not None and rating_w > 0 else None
        if share is None:
            share = self._mean("chiller", "capacity_percent")
        return None if share is None else min(100.0, max(0.0, share))

    def _values(self, kind: str, signal: str) -> list[float | None]:
        return [self._live.signal(device.id, signal) for device in self._live.site.devices_of(kind)]

    def _total(self, kind: str, signal: str) -> float | None:
        """The sum over a kind's devices; None where one of them is not known or there is none."""
        return whole_sum(self._values(kind, signal))

    def _mean(self, kind: str, signal: str) -> float | None:
        known = [value for value in self._values(kind, signal) if value is not None]
        return sum(known) / len(known) if known else None

    def _by_flow(self, cdus: list[str], flows: list[float | None], signal: str) -> float | None:
        """Mean of a temperature weighted by flow, over the CDUs that have both and move something."""
        pairs = [(flow, self._live.signal(cdu, signal)) for cdu, flow in zip(cdus, flows, strict=True)]
        known = [(flow, value) for flow, value in pairs if flow is not None and flow > 0 and value is not None]
        total = sum(flow for flow, _ in known)
        return sum(flow * value for flow, value in known) / total if total else None
