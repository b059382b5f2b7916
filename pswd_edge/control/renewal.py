"""A cycle's report once more, when its writes have been acknowledged: who waits for a command need not wait a cycle."""

import asyncio

from msgspec.structs import replace

from pswd_edge.clock import Clock
from pswd_edge.model.ports import FieldPort
from pswd_edge.model.report import Report, SetpointReport

WAIT_S = 0.06                 # after the report; what is not acknowledged by then is told by the next cycle
SPARE_S = 0.01                # before the next cycle: nothing is published any more
_LOOK_S = 0.002
_GIVEN_UP = frozenset({"refused", "silent"})


class Renewal:
    """At most once a cycle, and only in cycles that took a command. Waits in the idle part of the cycle."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._report: Report | None = None
        self._awaited: tuple[int, ...] = ()
        self._until_s = 0.0

    def arm(self, report: Report, *, asked: bool) -> None:
        """Where a command was taken for this report's cycle, wait for what was written first in it."""
        self._report, self._until_s = report if asked else None, self._clock.monotonic_s() + WAIT_S
        if not asked:
            return
        self._awaited = tuple(s.point for s in report.setpoints if s.waiting_since == report.cycle)

    async def wait(self, field: FieldPort, due_s: float) -> Report | None:
        """The armed report with its set-points as they are by now; returns well before `due_s`, the next cycle's start.

        None where none is armed, nothing was awaited, or nothing has come of it in time.
        """
        report, self._report = self._report, None
        if report is None or not self._awaited:
            return None
        until_s = min(self._until_s, due_s - SPARE_S)
        while _open(field, self._awaited, report.cycle):
            if self._clock.monotonic_s() >= until_s:
                break
            await asyncio.sleep(_LOOK_S)
        if self._clock.monotonic_s() >= due_s - SPARE_S:
            return None
        renewed = renewed_of(report, field)
        return None if renewed.setpoints == report.setpoints else renewed


def renewed_of(report: Report, field: FieldPort) -> Report:
    """The same cycle's decision; only how far its set-points are is new."""
    return replace(report, setpoints=tuple(_now(s, field) for s in report.setpoints),
                   acknowledged_cycle=field.acknowledged_cycle(report.cycle))


def _open(field: FieldPort, points: tuple[int, ...], cycle: int) -> bool:
    """Whether one of them still waits for its device."""
    slots = (field.slot(p) for p in points)
    return any(s.waiting_since is not None and s.waiting_since <= cycle and s.state not in _GIVEN_UP for s in slots)


def _now(setpoint: SetpointReport, field: FieldPort) -> SetpointReport:
    slot = field.slot(setpoint.point)
    return replace(setpoint, state=slot.state, written=slot.written, waiting_since=slot.waiting_since,
                   took_ms=slot.took_ms)
