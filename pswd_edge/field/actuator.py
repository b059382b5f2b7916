"""Set-points on their way to devices: latest wins, written on change and when a refresh is due, read back, seen."""

import math
import time
from collections.abc import Callable, Iterable, Mapping

from pswd_edge.errors import DeviceError, RefusedError, WriteError
from pswd_edge.field.effect import EffectWatch
from pswd_edge.field.operation import Operator
from pswd_edge.field.pace import Pace
from pswd_edge.field.poller import Poller
from pswd_edge.field.slot import KNOWN, OFFER_AGAIN_S, PACED_MAX_S, Slot
from pswd_edge.field.table import Table
from pswd_edge.field.work import Tell, Write
from pswd_edge.model.device import Device
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Quality

_MISMATCHES = 3               # read-backs in a row that differ before it is said


class Actuator:
    """The only writer of devices. `apply` is called once a cycle and never waits.

    A write has four outcomes: refused or silent, acknowledged, verified (read back), effective (seen on a meter).
    """

    def __init__(self, points: Mapping[int, Point], devices: tuple[Device, ...], pollers: Mapping[int, Poller],
                 table: Table, tell: Tell, disruptive_per_s: int = 2) -> None:
        self._tell = tell
        self.slots: dict[int, Slot] = {}
        self._live: dict[int, Slot] = {}
        self._effects = EffectWatch(table, tell)
        self._operator = Operator(devices, self.slots, table, tell, Pace(disruptive_per_s), self._acknowledge)
        self._install({i: Slot(p, p.write, pollers[devices[p.device].connection])
                       for i, p in points.items() if p.write is not None}, devices, table)

    def _install(self, slots: dict[int, Slot], devices: tuple[Device, ...], table: Table) -> None:
        """Go on with these slots: who waits for whom, who keeps whose watchdog alive."""
        self.slots, self._devices, self._table = slots, devices, table
        self._operator.slots, self._operator.devices = slots, devices
        self._effects.table = self._operator.table = table
        self._live = {i: slot for i, slot in slots.items() if slot.wanted is not None}
        self._effects.awaiting = {i: slot for i, slot in self._live.items() if slot.awaits_s is not None}
        for slot in slots.values():
            slot.gates = tuple(slots[i] for i in slot.rule.after if i in slots)
            slot.followers = ()
        for slot in slots.values():
            for gate in slot.gates:
                gate.followers += (slot,)
        self._keepers = [(keeper, tuple(s for s in slots.values() if s.point.device == keeper.point.device
                                        and s is not keeper))
                         for keeper in slots.values() if keeper.rule.keep_alive_value is not None]

    def replan(self, points: Mapping[int, Point], devices: tuple[Device, ...], pollers: Mapping[int, Poller],
               table: Table, moved: Mapping[int, int]) -> None:
        """Go on under another plan; set-points that are written as before keep their state. `moved`: old index to new.

        Points that are gone are written no more: their devices fall back by their own revert time.
        """
        for slot in self.slots.values():
            if slot.operation is not None:
                self._operator.deselect(slot, slot.operation)
        old = {moved[i]: slot for i, slot in self.slots.items() if i in moved}
        slots: dict[int, Slot] = {}
        for i, point in points.items():
            if point.write is None:
                continue
            known, poller = old.get(i), pollers[devices[point.device].connection]
            if known is not None and known.poller is poller:
                known.adapt(point, point.write)
                slots[i] = known
            else:
                slots[i] = Slot(point, point.write, poller)
        self._install(slots, devices, table)

    # --- called once a cycle ------------------------------------------------------------------------------------

    def apply(self, wanted: Iterable[tuple[int, float | None]], cycle: int, now_s: float) -> None:
        """Take the arbiter's values (None: let go, write no more); send what has changed or needs a refresh."""
        for point, value in wanted:
            slot = self.slots[point]
            if value == slot.steady and now_s < slot.steady_until_s and slot.session == slot.poller.sessions:
                continue
            if value is None:
                self._let_go(slot)
            else:
                self._lead(slot, value, cycle, now_s)
        for keeper, others in self._keepers:
            if any(s.wanted is not None for s in others):
                self._lead(keeper, keeper.rule.keep_alive_value or 0.0, cycle, now_s)
            elif keeper.wanted is not None:
                self._let_go(keeper)

    def acknowledged_cycle(self, cycle: int) -> int:
        """The cycle up to which every wanted value has been acknowledged by its device; refusal is none."""
        waiting = [s.changed_cycle for s in self._live.values() if s.changed_cycle is not None]
        return min([cycle, *(c - 1 for c in waiting)])

    def observe(self) -> None:
        """Compare what devices and meters show now with what was written; call it when fresh values are settled."""
        for slot in self._live.values():
            back = slot.rule.read_back
            if back is None or slot.written is None or slot.in_flight:
                continue
            if slot.operation is not None and slot.operation.step != "done":
                continue
            received_s = float(self._table.received_s[back])
            if received_s > max(slot.acknowledged_s, slot.compared_s) and self._table.quality[back] == Quality.GOOD:
                slot.compared_s = received_s
                self._compare(slot, slot.written, float(self._table.value[back]))
        if self._effects.awaiting:
            self._effects.look(time.monotonic())

    # --- called on request --------------------------------------------------------------------------------------

    def clear(self, point: int, who: str) -> bool:
        """A latched operation may be tried again; False where none is latched."""
        slot = self.slots[point]
        return slot.operation is not None and self._operator.clear(slot, slot.operation, who)

    def rehearse(self, point: int, done: Callable[[str], None]) -> None:
        """Dry run of a select-before-operate; `done` hears why it failed, or an empty text."""
        slot = self.slots[point]
        if slot.operation is None:
            done("it is no select-before-operate point")
        else:
            self._operator.rehearse(slot, slot.operation, done)

    # --- one slot -----------------------------------------------------------------------------------------------

    def _lead(self, slot: Slot, value: float, cycle: int, now_s: float) -> None:
        paced = self._paced(slot, value, now_s)
        if slot.wanted is None:
            self._live[slot.point.index] = slot
        slot.wanted = paced
        slot.note_change(paced, cycle)
        if slot.in_flight:
            return
        if slot.operation is None:
            self._send_where_due(slot, paced, now_s)
        elif self._in_range(slot, paced, now_s):
            self._operator.drive(slot, slot.operation, paced, now_s)
        if slot.rule.rate_per_s <= 0:  # a rate counts from the last cycle, so it is asked in every one
            slot.note_steady(value)

    def _let_go(self, slot: Slot) -> None:
        slot.let_go()
        self._live.pop(slot.point.index, None)
        self._effects.forget(slot)
        if slot.operation is not None:
            self._operator.drop(slot, slot.operation)

    def _compare(self, slot: Slot, written: float, shown: float) -> None:
        if abs(shown - slot.expected(written)) <= slot.rule.tolerance:
            if slot.mismatches >= _MISMATCHES:
                self._tell("info", "read_back_agrees", slot.point.id, f"{slot.point.id}: the device shows {shown:g}")
            slot.mismatches = 0
            if slot.state in ("acknowledged", "mismatch"):
                slot.state = "verified"
            return
        slot.mismatches += 1
        if slot.mismatches >= _MISMATCHES:
            slot.state, slot.steady = "mismatch", math.nan
            if slot.operation is not None:  # somebody else has switched it: never switched back blindly
                slot.operation.step = "latched"
        if slot.mismatches == _MISMATCHES:
            self._tell("warning", "read_back_differs", slot.point.id,
                       f"{slot.point.id}: wrote {written:g} {slot.point.unit}, the device shows {shown:g}: expected a "
                       f"difference of {slot.rule.tolerance:g} at most; {slot.remedy()}")

    def _paced(self, slot: Slot, value: float, now_s: float) -> float:
        """`value`, or as far toward it as the map's `rate_per_s` allows since the last cycle."""
        rate = slot.rule.rate_per_s
        if rate <= 0:
            return value
        before, since_s = slot.paced, min(now_s - slot.paced_s, PACED_MAX_S)
        if slot.wanted is None or math.isnan(before):
            before, since_s = self._shown(slot, value), 0.0
        slot.paced, slot.paced_s = min(max(value, before - rate * since_s), before + rate * since_s), now_s
        return slot.paced

    def _shown(self, slot: Slot, otherwise: float) -> float:
        """What the device shows of the set-point now, where it shows it and it is good."""
        back = slot.rule.read_back
        good = back is not None and back == slot.point.index and self._table.quality[back] == Quality.GOOD
        return float(self._table.value[back]) if good else otherwise

    def _in_range(self, slot: Slot, value: float, now_s: float) -> bool:
        if slot.rule.minimum <= value <= slot.rule.maximum:
            return True
        self._refuse(slot, value, f"outside the map's {slot.rule.minimum:g}..{slot.rule.maximum:g}", now_s)
        return False

    def _send_where_due(self, slot: Slot, value: float, now_s: float) -> None:
        if slot.in_flight or not slot.due(value, now_s) or not self._in_range(slot, value, now_s):
            return
        if slot.gates and not self._gates_open(slot, value):
            return
        slot.in_flight, slot.sent, slot.sent_s, slot.newer_cycle = True, value, now_s, None
        if slot.state not in KNOWN or slot.written is None or slot.differs(value, slot.written):
            slot.state = "pending"  # a refresh does not undo what is known
        slot.poller.submit(Write(self._devices[slot.point.device], slot.point, value, lambda e: self._done(slot, e)))

    def _gates_open(self, slot: Slot, value: float) -> bool:
        """Whether what must stand before this point does; toward zero it may go at any time.

        A set-point whose device would not fall back without us is worse than none. Less of what it holds is not.
        """
        shut = next((gate for gate in slot.gates if not gate.open), None)
        if shut is None:
            return True
        held = self._shown(slot, math.nan) if slot.written is None else slot.written
        if abs(value) < abs(held) and value * held >= 0:
            return True
        slot.state = "pending"
        if shut.failing and slot.failing != "held":
            slot.failing = "held"
            self._tell("warning", "write_held", slot.point.id,
                       f"{slot.point.id}: not sent: {shut.point.id} was not acknowledged; only less of what the device "
                       "holds is sent until it is")
        return False

    # --- answers ------------------------------------------------------------------------------------------------

    def _done(self, slot: Slot, error: DeviceError | None) -> None:
        now_s = time.monotonic()
        slot.in_flight, slot.steady = False, math.nan
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
            self._let_go(slot)

    def _acknowledge(self, slot: Slot, now_s: float) -> None:
        changed = slot.written is None or slot.differs(slot.sent, slot.written)
        if changed:
            slot.mismatches = 0
        if slot.state not in KNOWN:
            slot.state = "ineffective" if slot.effect == "ineffective" else "acknowledged"
        slot.written, slot.acknowledged_s, slot.session, slot.refused = slot.sent, now_s, slot.poller.sessions, None
        slot.took_s = now_s - slot.sent_s
        if slot.failing and (slot.failing != "held" or all(gate.open for gate in slot.gates)):
            slot.failing = ""
            self._tell("info", "write_works", slot.point.id, f"{slot.point.id}: writes are acknowledged again")
        newer = slot.wanted is not None and slot.differs(slot.wanted, slot.sent)
        slot.changed_cycle = slot.newer_cycle if newer else None
        if changed and slot.wanted is not None:
            self._effects.expect(slot, slot.sent, now_s)
        for follower in slot.followers:  # it has waited for this: no cycle is lost
            if follower.wanted is not None and follower.operation is None:
                self._send_where_due(follower, follower.wanted, now_s)

    def _refuse(self, slot: Slot, value: float, why: str, now_s: float) -> None:
        if slot.failing != "refused":
            self._tell("warning", "write_refused", slot.point.id,
                       f"{slot.point.id}: {value:g} {slot.point.unit} was refused: {why}; offered again every "
                       f"{OFFER_AGAIN_S:g} s, another value at once")
        slot.refused, slot.refused_s, slot.state, slot.failing = value, now_s, "refused", "refused"
