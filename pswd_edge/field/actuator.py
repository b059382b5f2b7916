"""Set-points on their way to devices: latest wins, written on change and when a refresh is due, read back."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pswd_edge.errors import DeviceError, RefusedError, WriteError
from pswd_edge.field.poller import Poller, Tell, Write
from pswd_edge.field.table import Table
from pswd_edge.model.device import Device
from pswd_edge.model.point import Point, WriteRule
from pswd_edge.model.quality import Quality

REFRESH_SHARE = 0.4           # of the device's revert time: under half, with room for one lost write
_REFUSED_PAUSE_S = 5.0        # before a refused value is offered again
_MISMATCHES = 3               # read-backs in a row that differ before it is said


@dataclass(slots=True)
class Slot:
    """One actuated point.

    `state`: "idle", "pending" (on its way), "acknowledged", "verified" (read back), "mismatch", "refused", "silent".
    `changed_cycle` is the cycle that first wanted the value which is not acknowledged yet, or None.
    """

    point: Point
    rule: WriteRule
    wanted: float | None = None
    sent: float | None = None
    written: float | None = None
    in_flight: bool = False
    sent_s: float = -math.inf
    acknowledged_s: float = -math.inf
    refused_s: float = -math.inf
    changed_cycle: int | None = None
    state: str = "idle"
    mismatches: int = 0
    failing: bool = False


class Actuator:
    """The only writer of devices. `apply` is called once a cycle and never waits."""

    def __init__(self, points: Mapping[int, Point], devices: tuple[Device, ...], pollers: Mapping[int, Poller],
                 table: Table, tell: Tell) -> None:
        self._devices, self._pollers, self._table, self._tell = devices, pollers, table, tell
        self.slots = {i: Slot(p, p.write) for i, p in points.items() if p.write is not None}
        self._on_ack: list[Callable[[Slot, float], None]] = []

    def apply(self, wanted: Iterable[tuple[int, float | None]], cycle: int, now_s: float) -> None:
        """Take the arbiter's values (None: let go, write no more); send what has changed or needs a refresh."""
        for point, value in wanted:
            slot = self.slots[point]
            if value is None:
                slot.wanted, slot.changed_cycle, slot.state = None, None, "idle"
                continue
            if slot.wanted is None or _differs(slot, value, slot.wanted):
                slot.changed_cycle = slot.changed_cycle if slot.changed_cycle is not None else cycle
            slot.wanted = value
            self._send_where_due(slot, now_s)

    def acknowledged_cycle(self, cycle: int) -> int:
        """The cycle up to which every wanted value has been acknowledged by its device."""
        waiting = [s.changed_cycle for s in self.slots.values() if s.changed_cycle is not None]
        return min([cycle, *(c - 1 for c in waiting)])

    def observe(self) -> None:
        """Compare what devices show now with what they acknowledged; call it when fresh values are settled."""
        for slot in self.slots.values():
            back = slot.rule.read_back
            if slot.written is None or slot.in_flight or back is None:
                continue
            fresh = self._table.received_s[back] > slot.acknowledged_s
            if fresh and self._table.quality[back] == Quality.GOOD:
                self._compare(slot, float(self._table.value[back]))

    def _compare(self, slot: Slot, shown: float) -> None:
        assert slot.written is not None  # `observe` looks at written slots only
        expected = slot.written
        if slot.rule.read_back_values:
            expected = float(slot.rule.read_back_values.get(round(expected), expected))
        if abs(shown - expected) <= slot.rule.tolerance:
            slot.mismatches = 0
            if slot.state in ("acknowledged", "mismatch"):
                slot.state = "verified"
            return
        slot.mismatches += 1
        if slot.mismatches == _MISMATCHES:
            slot.state = "mismatch"
            self._tell("warning", "read_back_differs", slot.point.id,
                       f"{slot.point.id}: wrote {slot.written:g} {slot.point.unit}, the device shows {shown:g}: expected "
                       f"a difference of {slot.rule.tolerance:g} at most; written again at the next refresh")

    def _send_where_due(self, slot: Slot, now_s: float) -> None:
        if slot.in_flight or slot.wanted is None or not self._due(slot, slot.wanted, now_s):
            return
        if not slot.rule.minimum <= slot.wanted <= slot.rule.maximum:
            self._refuse(slot, f"outside the map's {slot.rule.minimum:g}..{slot.rule.maximum:g}", now_s)
            return
        slot.in_flight, slot.sent, slot.sent_s, slot.state = True, slot.wanted, now_s, "pending"
        device = self._devices[slot.point.device]
        self._pollers[device.connection].submit(
            Write(device, slot.point, slot.wanted, lambda error: self._done(slot, error)))

    def _due(self, slot: Slot, value: float, now_s: float) -> bool:
        if now_s - slot.sent_s < slot.rule.min_interval_s or now_s - slot.refused_s < _REFUSED_PAUSE_S:
            return False
        if slot.written is None or _differs(slot, value, slot.written):
            return True
        if slot.rule.eeprom:
            return False
        refresh_s = slot.rule.revert_s * REFRESH_SHARE
        return (refresh_s > 0 and now_s - slot.acknowledged_s >= refresh_s) or slot.state == "mismatch"

    def _done(self, slot: Slot, error: DeviceError | None) -> None:
        now_s = time.monotonic()
        slot.in_flight = False
        if error is None:
            slot.written, slot.acknowledged_s, slot.state = slot.sent, now_s, "acknowledged"
            if slot.failing:
                slot.failing = False
                self._tell("info", "write_works", slot.point.id, f"{slot.point.id}: writes are acknowledged again")
            if slot.wanted is None or slot.sent is None or not _differs(slot, slot.wanted, slot.sent):
                slot.changed_cycle = None
        elif isinstance(error, (RefusedError, WriteError)):
            self._refuse(slot, str(error), now_s)
        else:
            if not slot.failing:
                self._tell("warning", "write_failed", slot.point.id,
                           f"{slot.point.id}: {slot.sent:g} {slot.point.unit} not written: {error}; tried every cycle")
            slot.state, slot.written, slot.failing = "silent", None, True

    def _refuse(self, slot: Slot, why: str, now_s: float) -> None:
        if slot.state != "refused":
            self._tell("warning", "write_refused", slot.point.id,
                       f"{slot.point.id}: {slot.wanted} {slot.point.unit} was refused: {why}; offered again in "
                       f"{_REFUSED_PAUSE_S:g} s")
        slot.refused_s, slot.state, slot.changed_cycle = now_s, "refused", None


def _differs(slot: Slot, a: float, b: float) -> bool:
    """Whether two values differ by more than the device can tell apart."""
    return abs(a - b) > 0.5 * abs(slot.point.scale) and abs(a - b) > 1e-9 * max(abs(a), abs(b))
