"""Set-points on their way to devices: latest wins, written on change and when a refresh is due, read back."""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pswd_edge.errors import DeviceError, RefusedError, WriteError
from pswd_edge.field.poller import Poller
from pswd_edge.field.table import Table
from pswd_edge.field.work import Tell, Write
from pswd_edge.model.device import Device
from pswd_edge.model.point import ModbusAddress, Point, WriteRule
from pswd_edge.model.quality import Quality

REFRESH_SHARE = 0.4           # of the device's revert time: under half, with room for one lost write
_PACED_MAX_S = 1.0            # a longer pause of the cycle is no licence for a larger step
OFFER_AGAIN_S = 5.0           # what a device refused, or shows differently though it has no revert time
_MISMATCHES = 3               # read-backs in a row that differ before it is said


@dataclass(slots=True)
class Slot:
    """One actuated point.

    `state`: "idle", "pending" (on its way), "acknowledged", "verified" (read back), "mismatch", "refused", "silent".
    `written` is what its device holds, as far as is known; `session` the connection's when it was written.
    `changed_cycle` is the cycle that first wanted a value which is not acknowledged yet, or None; `newer_cycle` the
    first that wanted another value than the one in flight. `paced` is the last value that `rate_per_s` let through.
    `failing` is "", "refused" or "silent": what was told last.
    """

    point: Point
    rule: WriteRule
    poller: Poller
    step: float = field(init=False)
    wanted: float | None = None
    sent: float = math.nan
    written: float | None = None
    refused: float | None = None
    in_flight: bool = False
    session: int = 0
    sent_s: float = -math.inf
    acknowledged_s: float = -math.inf
    refused_s: float = -math.inf
    compared_s: float = -math.inf
    changed_cycle: int | None = None
    newer_cycle: int | None = None
    state: str = "idle"
    mismatches: int = 0
    failing: str = ""
    paced: float = math.nan
    paced_s: float = -math.inf

    def __post_init__(self) -> None:
        self.step = _step(self.point)

    def differs(self, a: float, b: float) -> bool:
        """Whether two values are more than half a step of the device apart; NaN differs from everything."""
        return not abs(a - b) <= max(0.5 * self.step, 1e-9 * max(abs(a), abs(b)))

    def holds(self, value: float) -> bool:
        """Whether the device has acknowledged this value and nothing else is on its way."""
        return not self.in_flight and self.written is not None and not self.differs(value, self.written)


def _step(point: Point) -> float:
    """The smallest change that the device can tell apart; 0 for floats and where a scale register decides."""
    kind = point.address.type.lower()
    if kind.startswith(("float", "double")):
        return 0.0
    if isinstance(point.address, ModbusAddress) and point.address.scale_register is not None:
        return 0.0
    return abs(point.scale)


class Actuator:
    """The only writer of devices. `apply` is called once a cycle and never waits."""

    def __init__(self, points: Mapping[int, Point], devices: tuple[Device, ...], pollers: Mapping[int, Poller],
                 table: Table, tell: Tell) -> None:
        self._devices, self._table, self._tell = devices, table, tell
        self.slots = {i: Slot(p, p.write, pollers[devices[p.device].connection])
                      for i, p in points.items() if p.write is not None}

    def replan(self, points: Mapping[int, Point], devices: tuple[Device, ...], pollers: Mapping[int, Poller],
               table: Table, moved: Mapping[int, int]) -> None:
        """Go on under another plan; set-points that are written as before keep their state. `moved`: old index to new.

        Points that are gone are written no more: their devices fall back by their own revert time.
        """
        old = {moved[i]: slot for i, slot in self.slots.items() if i in moved}
        self._devices, self._table = devices, table
        self.slots = {}
        for i, point in points.items():
            if point.write is None:
                continue
            slot, poller = old.get(i), pollers[devices[point.device].connection]
            if slot is None or slot.poller is not poller:
                slot = Slot(point, point.write, poller)
            slot.point, slot.rule = point, point.write
            self.slots[i] = slot

    def apply(self, wanted: Iterable[tuple[int, float | None]], cycle: int, now_s: float) -> None:
        """Take the arbiter's values (None: let go, write no more); send what has changed or needs a refresh."""
        for point, value in wanted:
            slot = self.slots[point]
            if value is None:
                _let_go(slot)
                continue
            paced = self._paced(slot, value, now_s)
            slot.wanted = paced
            _note_change(slot, paced, cycle)
            self._send_where_due(slot, paced, now_s)

    def acknowledged_cycle(self, cycle: int) -> int:
        """The cycle up to which every wanted value has been acknowledged by its device; refusal is none."""
        waiting = [s.changed_cycle for s in self.slots.values() if s.changed_cycle is not None]
        return min([cycle, *(c - 1 for c in waiting)])

    def observe(self) -> None:
        """Compare what devices show now with what they acknowledged; call it when fresh values are settled."""
        for slot in self.slots.values():
            back = slot.rule.read_back
            if slot.written is None or slot.wanted is None or slot.in_flight or back is None:
                continue
            received_s = float(self._table.received_s[back])
            if received_s > max(slot.acknowledged_s, slot.compared_s) and self._table.quality[back] == Quality.GOOD:
                slot.compared_s = received_s
                self._compare(slot, slot.written, float(self._table.value[back]))

    def _compare(self, slot: Slot, written: float, shown: float) -> None:
        expected = float(slot.rule.read_back_values.get(round(written), written))
        if abs(shown - expected) <= slot.rule.tolerance:
            if slot.mismatches >= _MISMATCHES:
                self._tell("info", "read_back_agrees", slot.point.id, f"{slot.point.id}: the device shows {shown:g}")
            slot.mismatches = 0
            if slot.state in ("acknowledged", "mismatch"):
                slot.state = "verified"
            return
        slot.mismatches += 1
        if slot.mismatches >= _MISMATCHES:
            slot.state = "mismatch"
        if slot.mismatches == _MISMATCHES:
            self._tell("warning", "read_back_differs", slot.point.id,
                       f"{slot.point.id}: wrote {written:g} {slot.point.unit}, the device shows {shown:g}: expected a "
                       f"difference of {slot.rule.tolerance:g} at most; {_remedy(slot.rule)}")

    def _paced(self, slot: Slot, value: float, now_s: float) -> float:
        """`value`, or as far toward it as the map's `rate_per_s` allows since the last cycle."""
        rate = slot.rule.rate_per_s
        if rate <= 0:
            return value
        before, since_s = slot.paced, min(now_s - slot.paced_s, _PACED_MAX_S)
        if slot.wanted is None or math.isnan(before):
            before, since_s = self._shown(slot, value), 0.0
        slot.paced, slot.paced_s = min(max(value, before - rate * since_s), before + rate * since_s), now_s
        return slot.paced

    def _shown(self, slot: Slot, otherwise: float) -> float:
        """What the device shows of the set-point now, where it shows it and it is good."""
        back = slot.rule.read_back
        good = back is not None and back == slot.point.index and self._table.quality[back] == Quality.GOOD
        return float(self._table.value[back]) if good else otherwise

    def _send_where_due(self, slot: Slot, value: float, now_s: float) -> None:
        if slot.in_flight or not _due(slot, value, now_s):
            return
        if not slot.rule.minimum <= value <= slot.rule.maximum:
            self._refuse(slot, value, f"outside the map's {slot.rule.minimum:g}..{slot.rule.maximum:g}", now_s)
            return
        slot.in_flight, slot.sent, slot.sent_s, slot.newer_cycle = True, value, now_s, None
        if slot.state not in ("verified", "mismatch") or slot.written is None or slot.differs(value, slot.written):
            slot.state = "pending"  # a refresh does not undo what is known
        slot.poller.submit(Write(self._devices[slot.point.device], slot.point, value, lambda e: self._done(slot, e)))

    def _done(self, slot: Slot, error: DeviceError | None) -> None:
        now_s = time.monotonic()
        slot.in_flight = False
        if error is None:
            self._acknowledge(slot, now_s)
        elif isinstance(error, (RefusedError, WriteError)):
            self._refuse(slot, slot.sent, str(error), now_s)
        else:
            if slot.failing != "silent":
                self._tell("warning", "write_failed", slot.point.id,
                           f"{slot.point.id}: {slot.sent:g} {slot.point.unit} not written: {error}; tried every cycle")
            slot.state, slot.written, slot.failing = "silent", None, "silent"
        if slot.wanted is None:
            _let_go(slot)

    def _acknowledge(self, slot: Slot, now_s: float) -> None:
        if slot.written is None or slot.differs(slot.sent, slot.written):
            slot.mismatches = 0
        if slot.state not in ("verified", "mismatch"):
            slot.state = "acknowledged"
        slot.written, slot.acknowledged_s, slot.session, slot.refused = slot.sent, now_s, slot.poller.sessions, None
        if slot.failing:
            slot.failing = ""
            self._tell("info", "write_works", slot.point.id, f"{slot.point.id}: writes are acknowledged again")
        newer = slot.wanted is not None and slot.differs(slot.wanted, slot.sent)
        slot.changed_cycle = slot.newer_cycle if newer else None

    def _refuse(self, slot: Slot, value: float, why: str, now_s: float) -> None:
        if slot.failing != "refused":
            self._tell("warning", "write_refused", slot.point.id,
                       f"{slot.point.id}: {value:g} {slot.point.unit} was refused: {why}; offered again every "
                       f"{OFFER_AGAIN_S:g} s, another value at once")
        slot.refused, slot.refused_s, slot.state, slot.failing = value, now_s, "refused", "refused"


def _let_go(slot: Slot) -> None:
    """From now on the device's value is somebody else's: what we wrote says nothing. EEPROM is spared a rewrite."""
    slot.wanted, slot.changed_cycle, slot.state = None, None, "idle"
    if not slot.rule.eeprom:
        slot.written = None


def _note_change(slot: Slot, value: float, cycle: int) -> None:
    """Keep account of the first cycle whose value the device does not have."""
    if slot.holds(value):
        slot.changed_cycle = None
        if slot.state in ("idle", "refused"):  # it came back to what the device has
            slot.state = "acknowledged"
    elif slot.changed_cycle is None and (slot.written is None or slot.differs(value, slot.written)):
        slot.changed_cycle = cycle
    if slot.in_flight:
        if not slot.differs(value, slot.sent):
            slot.newer_cycle = None
        elif slot.newer_cycle is None:
            slot.newer_cycle = cycle


def _due(slot: Slot, value: float, now_s: float) -> bool:
    if now_s - slot.sent_s < slot.rule.min_interval_s:
        return False
    if slot.refused is not None and now_s - slot.refused_s < OFFER_AGAIN_S and not slot.differs(value, slot.refused):
        return False
    if not slot.holds(value):
        return True
    if slot.rule.eeprom:
        return False
    if slot.session != slot.poller.sessions:  # the device may have started anew, with a value of its own
        return True
    refresh_s = slot.rule.revert_s * REFRESH_SHARE
    if slot.state == "mismatch" and not refresh_s:
        refresh_s = OFFER_AGAIN_S
    return refresh_s > 0 and now_s - slot.acknowledged_s >= refresh_s


def _remedy(rule: WriteRule) -> str:
    if rule.eeprom:
        return "not written again before it changes"
    return f"written again every {rule.revert_s * REFRESH_SHARE or OFFER_AGAIN_S:g} s"
