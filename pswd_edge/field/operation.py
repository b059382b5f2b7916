"""Select before operate: read the state, select, operate within a short window, confirm by read-back. Never blindly.

For outlets, breakers and connect commands (`sbo` in the write rule). Each step is an event. What is not confirmed is
tried again with pauses, three times in all; then it is latched until the wanted value changes or somebody clears it.
What shows the wanted state already is not operated.
"""

import math
import time
from collections.abc import Callable, Mapping

from pswd_edge.errors import DeviceError, RefusedError, WriteError
from pswd_edge.field.pace import Pace
from pswd_edge.field.slot import OFFER_AGAIN_S, Operation, Slot
from pswd_edge.field.table import Table
from pswd_edge.field.work import Tell, Write
from pswd_edge.model.device import Device
from pswd_edge.model.quality import Quality

ATTEMPTS_MAX = 3
_PLACE = ("selecting", "selected")   # steps that hold a place of the pace


class Operator:
    """Drives the operations of all slots; `acknowledged` is told of every acknowledged operate."""

    def __init__(self, devices: tuple[Device, ...], slots: Mapping[int, Slot], table: Table, tell: Tell, pace: Pace,
                 acknowledged: Callable[[Slot, float], None]) -> None:
        self.devices, self.slots, self.table, self._tell = devices, slots, table, tell
        self._pace, self._acknowledged = pace, acknowledged

    def drive(self, slot: Slot, op: Operation, value: float, now_s: float) -> None:
        """One cycle's work toward `value`."""
        if slot.in_flight:
            return
        if op.step and slot.differs(value, op.value):
            self.drop(slot, op)
        op.value = value
        if op.step == "resting" and now_s >= op.until_s:
            op.step, op.until_s = "", -math.inf
        if op.step == "":
            self._select(slot, op, now_s)
        elif op.step == "selected":
            self._operate(slot, op, now_s)
        elif op.step == "confirming":
            self._confirm(slot, op, now_s)

    def drop(self, slot: Slot, op: Operation) -> None:
        """Nobody wants it any more, or something else is wanted."""
        self.deselect(slot, op)
        op.step, op.attempts, op.until_s, op.rehearsal = "", 0, -math.inf, False
        slot.steady = math.nan

    def deselect(self, slot: Slot, op: Operation) -> None:
        """Give up a selection and its place; it is selected anew where it is still wanted."""
        if op.step in _PLACE and not op.rehearsal:
            self._pace.release(self._connection(slot))
            op.step = ""

    def clear(self, slot: Slot, op: Operation, who: str) -> bool:
        """Somebody has looked at it: a latched operation may be tried again."""
        if op.step != "latched":
            return False
        self.drop(slot, op)
        slot.mismatches = 0
        self._tell("info", "latch_cleared", slot.point.id, f"{slot.point.id}: cleared by {who}")
        return True

    def rehearse(self, slot: Slot, op: Operation, done: Callable[[str], None]) -> None:
        """A dry run: read the state and select, never operate. `done` hears why it failed, or nothing."""
        shown = self._shown(slot)
        if slot.wanted is not None or slot.in_flight:
            done("it is in use")
        elif shown is None:
            done("its state is not known")
        elif slot.rule.select is None:
            self._tell("info", "select", slot.point.id, f"{slot.point.id}: dry run: shows {shown:g}, could be selected")
            done("")
        else:
            op.rehearsal = True
            self._send(slot, slot.rule.select, slot.rule.select_value if slot.rule.select_value is not None else shown,
                       lambda error: self._rehearsed(slot, op, error, done))

    # --- steps --------------------------------------------------------------------------------------------------

    def _select(self, slot: Slot, op: Operation, now_s: float) -> None:
        shown = self._shown(slot)
        if shown is None:
            self._wait(slot, op, now_s)
            return
        op.until_s = -math.inf
        if self._is(slot, shown, op.value):
            self._already(slot, op, now_s)
            return
        slot.state = "pending"
        if now_s - slot.sent_s < slot.rule.min_interval_s or not self._pace.select(self._connection(slot), now_s):
            return
        if slot.rule.select is None:
            self._selected(slot, op, now_s)
            return
        op.step = "selecting"
        value = op.value if slot.rule.select_value is None else slot.rule.select_value
        self._send(slot, slot.rule.select, value, lambda error: self._select_done(slot, op, error))

    def _wait(self, slot: Slot, op: Operation, now_s: float) -> None:
        """Its state is not known: said once after `confirm_s`. That is no attempt, and nothing is latched for it."""
        slot.state = "pending"
        if op.until_s == -math.inf:
            op.until_s = now_s + slot.rule.confirm_s
        elif now_s > op.until_s:
            op.until_s = math.inf
            self._tell("warning", "operate_failed", slot.point.id,
                       f"{slot.point.id}: {op.value:g}: its state is not known; operated as soon as it is")

    def _already(self, slot: Slot, op: Operation, now_s: float) -> None:
        """The device is as it should be: nothing disruptive is sent."""
        slot.written, slot.acknowledged_s, slot.session = op.value, now_s, slot.poller.sessions
        slot.state, slot.changed_cycle, op.step, op.attempts, op.until_s = "verified", None, "done", 0, -math.inf

    def _select_done(self, slot: Slot, op: Operation, error: DeviceError | None) -> None:
        slot.in_flight = False
        if op.step != "selecting":
            return
        now_s = time.monotonic()
        if error is None:
            self._selected(slot, op, now_s)
            return
        self._pace.release(self._connection(slot))
        self._fail(slot, op, f"not selected: {error}", _state_of(error), now_s)

    def _selected(self, slot: Slot, op: Operation, now_s: float) -> None:
        op.step, op.until_s, slot.state = "selected", now_s + slot.rule.select_s, "selected"
        self._tell("info", "select", slot.point.id, f"{slot.point.id}: selected for {op.value:g}")

    def _operate(self, slot: Slot, op: Operation, now_s: float) -> None:
        shown = self._shown(slot)
        if now_s > op.until_s or shown is None or self._is(slot, shown, op.value):
            self._pace.release(self._connection(slot))  # the window is over, or it is no longer as it was selected
            op.step, op.until_s = "", -math.inf
            return
        self._pace.operate(self._connection(slot), now_s)
        op.step, slot.sent, slot.sent_s, slot.newer_cycle = "operating", op.value, now_s, None
        self._tell("info", "operate", slot.point.id, f"{slot.point.id}: {op.value:g} sent; it shows {shown:g}")
        self._send(slot, slot.point.index, op.value, lambda error: self._operate_done(slot, op, error))

    def _operate_done(self, slot: Slot, op: Operation, error: DeviceError | None) -> None:
        now_s = time.monotonic()
        slot.in_flight = False
        if slot.wanted is None:
            slot.let_go()
        elif error is None:
            self._acknowledged(slot, now_s)
            op.step, op.until_s = "confirming", now_s + slot.rule.confirm_s
        else:
            slot.written = None
            self._fail(slot, op, str(error), _state_of(error), now_s)

    def _confirm(self, slot: Slot, op: Operation, now_s: float) -> None:
        back = slot.rule.read_back
        shown = self._shown(slot)
        fresh = back is not None and float(self.table.received_s[back]) > slot.acknowledged_s
        if fresh and shown is not None and self._is(slot, shown, op.value):
            op.step, op.attempts = "done", 0
            slot.state = "effective" if slot.state == "effective" else "verified"
            self._tell("info", "confirm", slot.point.id, f"{slot.point.id}: the device shows {shown:g}")
        elif now_s > op.until_s:
            found = "nothing good" if shown is None else f"{shown:g}"
            why = f"not confirmed in {slot.rule.confirm_s:g} s: the device shows {found}"
            self._fail(slot, op, why, "mismatch", now_s)

    def _fail(self, slot: Slot, op: Operation, why: str, state: str, now_s: float) -> None:
        op.attempts += 1
        slot.state = state
        if op.attempts >= ATTEMPTS_MAX:
            op.step = "latched"
            self._tell("warning", "operate_latched", slot.point.id,
                       f"{slot.point.id}: {op.value:g}: {why}; given up after {op.attempts} attempts, until the wanted "
                       "value changes or somebody clears it")
            return
        rest_s = OFFER_AGAIN_S * 2 ** (op.attempts - 1)
        op.step, op.until_s = "resting", now_s + rest_s
        self._tell("warning", "operate_failed", slot.point.id,
                   f"{slot.point.id}: {op.value:g}: {why}; tried again in {rest_s:g} s")

    # --- small words --------------------------------------------------------------------------------------------

    def _send(self, slot: Slot, point: int, value: float, done: Callable[[DeviceError | None], None]) -> None:
        slot.in_flight = True
        slot.poller.submit(Write(self.devices[slot.point.device], self.slots[point].point, value, done))

    def _rehearsed(self, slot: Slot, op: Operation, error: DeviceError | None, done: Callable[[str], None]) -> None:
        slot.in_flight, op.rehearsal = False, False
        if error is None:
            self._tell("info", "select", slot.point.id, f"{slot.point.id}: dry run: selected, left to lapse")
        done("" if error is None else f"not selected: {error}")

    def _shown(self, slot: Slot) -> float | None:
        back = slot.rule.read_back
        good = back is not None and self.table.quality[back] == Quality.GOOD
        return float(self.table.value[back]) if good else None

    def _is(self, slot: Slot, shown: float, value: float) -> bool:
        return abs(shown - slot.expected(value)) <= slot.rule.tolerance

    def _connection(self, slot: Slot) -> int:
        return self.devices[slot.point.device].connection


def _state_of(error: DeviceError) -> str:
    return "refused" if isinstance(error, (RefusedError, WriteError)) else "silent"
