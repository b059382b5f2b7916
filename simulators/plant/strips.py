"""What hangs on outlets: switched PDUs, and the UPS of the inference halls."""

from collections.abc import Mapping

from simulators.plant.range import check_switch
from simulators.plant.spec import PduSpec

_UPS_NORMAL = 3.0         # RFC 1628, upsOutputSource
_UPS_ENERGY_WH = 500_000.0


class Pdu:
    """Outlets are numbered from 1; a command and a state of 1 is on, 0 off. Everything is on at the start."""

    def __init__(self, spec: PduSpec) -> None:
        self.spec = spec
        self._on = [1.0] * len(spec.outlets_w)
        self.total_w = sum(spec.outlets_w)
        self.power_w = self.total_w
        self.unserved_wh = 0.0

    def write(self, signal: str, value: float, time_s: float) -> None:  # noqa: ARG002 - all devices alike
        """Switch an outlet; ValueError for another signal, an unknown outlet or a value other than 0 and 1."""
        base, _, member = signal.partition("[")
        number = int(member[:-1]) if member.endswith("]") and member[:-1].isdigit() else 0
        if base != "outlet_command" or not 1 <= number <= len(self._on):
            raise ValueError(f"{self.spec.id}.{signal}: not writable; nothing was written")
        self._on[number - 1] = check_switch(self.spec.id, signal, value)
        self.power_w = sum(w * on for w, on in zip(self.spec.outlets_w, self._on, strict=True))

    def count_unserved(self, dt_s: float) -> None:
        """What switched-off outlets would have drawn."""
        self.unserved_wh += (self.total_w - self.power_w) * dt_s / 3600.0

    def signals(self) -> Mapping[str, float]:
        """Current values by the standard names."""
        values = {"active_power_w": self.power_w}
        for number, on in enumerate(self._on, 1):
            values[f"outlet_state[{number}]"] = values[f"outlet_command[{number}]"] = on
        return values


class Ups:
    """An online UPS: it passes its load through; on mains it is full."""

    def __init__(self) -> None:
        self.power_w = 0.0

    def signals(self) -> Mapping[str, float]:
        """Current values by the standard names; `output_source` as in RFC 1628 (3 normal)."""
        return {
            "active_power_w": self.power_w, "battery_charge_percent": 100.0,
            "runtime_s": 3600.0 * _UPS_ENERGY_WH / max(self.power_w, 1.0), "output_source": _UPS_NORMAL,
        }
