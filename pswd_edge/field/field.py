"""The field as the cycle sees it: begin the reads, wait for the inputs, take a snapshot, write, look after the rest."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from pswd_edge.field.actuator import Actuator
from pswd_edge.field.drivers.base import Driver, ReadRequest
from pswd_edge.field.poller import Poller, cancel_all
from pswd_edge.field.table import Group, Table
from pswd_edge.field.work import Batch, Job, Tell
from pswd_edge.model.device import Connection
from pswd_edge.model.point import Point
from pswd_edge.model.ports import Columns, SlotState
from pswd_edge.model.quality import Quality
from pswd_edge.model.report import FieldReport
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Reading, Snapshot, freeze

DriverFactory = Callable[[Connection], Driver]


class Field:
    """All connections of a site.

    `watched` are the points that the rules read; those of them that are read in every cycle are the control inputs,
    for which the cycle waits.
    """

    def __init__(self, site: Site, make_driver: DriverFactory, watched: Iterable[int], actuated: Iterable[int],
                 tell: Tell) -> None:
        self._site = site
        self._period_ms = site.control.period_ms
        self._watched = tuple(dict.fromkeys(watched))
        drivers = {c.index: make_driver(c) for c in site.connections}
        requests = plan_site(site, drivers)
        self.table = Table(site.points, requests)
        self._cycle = 0
        self._pending = 0
        self._ready: asyncio.Future[None] | None = None
        self.pollers = {c.index: Poller(c, drivers[c.index], self.table, tell, self._input_done)
                        for c in site.connections}
        jobs = self._schedule(requests)
        self._fast = [(self.pollers[c], _batch(found)) for c, found in jobs.items()]
        self._fast = [(p, batch) for p, batch in self._fast if batch.jobs]
        self._slow = self._calendar(jobs)
        self._slow_cycle: int | None = None
        self._inputs = Group(self.table, [j.slot for found in jobs.values() for j in found if j.critical])
        self._rest = Group(self.table, [j.slot for found in jobs.values() for j in found if not j.critical])
        points = {i: site.points[i] for i in actuated}
        self.actuator = Actuator(points, site.devices, self.pollers, self.table, tell)
        self._tasks: list[asyncio.Task[None]] = []
        self._readable = np.array([p.index for p in site.points if p.readable], np.intp)
        self._device_of = np.array([p.device for p in site.points if p.readable], np.intp)

    def _schedule(self, requests: Sequence[ReadRequest]) -> dict[int, list[Job]]:
        watched = set(self._watched)
        jobs: dict[int, list[Job]] = {c.index: [] for c in self._site.connections}
        for slot, request in enumerate(requests):
            every = max(1, request.period_ms // self._period_ms)
            critical = every == 1 and any(p.index in watched for p in request.points)
            phase = (7919 * (slot + 1)) % every
            jobs[request.device.connection].append(Job(request, slot, every, phase, critical))
        for found in jobs.values():
            found.sort(key=lambda j: not j.critical)
        return jobs

    def _calendar(self, jobs: Mapping[int, list[Job]]) -> dict[int, dict[int, list[tuple[Poller, list[Job]]]]]:
        """Period in cycles, phase: who reads what."""
        calendar: dict[int, dict[int, list[tuple[Poller, list[Job]]]]] = {}
        for c, found in jobs.items():
            poller = self.pollers[c]
            poller.account.slow = tuple(j for j in found if j.every > 1)
            due: dict[tuple[int, int], list[Job]] = {}
            for job in poller.account.slow:
                due.setdefault((job.every, job.phase), []).append(job)
            for (every, phase), together in due.items():
                calendar.setdefault(every, {}).setdefault(phase, []).append((poller, together))
        return calendar

    def start(self) -> None:
        """Start the pollers."""
        self._tasks = [asyncio.create_task(p.run(), name=f"poller {p.connection.id}") for p in self.pollers.values()]

    async def stop(self) -> None:
        """Stop the pollers and close their connections."""
        await cancel_all(self._tasks)

    def begin(self) -> None:
        """Start this cycle's reads of the fastest class, on all connections together."""
        self._cycle += 1
        self._pending = 0
        self._ready = asyncio.get_running_loop().create_future()
        for poller, batch in self._fast:
            self._pending += poller.begin(batch, self._cycle)
        if self._pending == 0:
            self._ready.set_result(None)

    def _input_done(self, cycle: int) -> None:
        """A control input that was asked in an older cycle and came late is nothing that this cycle waits for."""
        if cycle != self._cycle:
            return
        self._pending -= 1
        if self._pending == 0 and self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    async def inputs(self, deadline_s: float) -> None:
        """Return when every control input has answered or failed, at the latest after `deadline_s`."""
        ready = self._ready
        if ready is None or ready.done():
            return
        handle = asyncio.get_running_loop().call_later(deadline_s, _release, ready)
        try:
            await ready
        finally:
            handle.cancel()

    def latch(self, cycle: int, now_s: float, utc_s: float) -> Snapshot:
        """Settle the control inputs and freeze what the rules will see."""
        self.table.settle(self._inputs, now_s)
        return freeze(cycle, now_s, utc_s, {i: self.table.reading(i, now_s) for i in self._watched})

    def begin_slow(self, cycle: int) -> None:
        """Start the reads of the slower classes that are due; call it after the set-points went out.

        What was due in a cycle that was skipped is due now: a class of a minute need not wait for the next.
        """
        last = cycle - 1 if self._slow_cycle is None else self._slow_cycle
        self._slow_cycle = cycle
        for every, phases in self._slow.items():
            for slot in range(max(last + 1, cycle - every + 1), cycle + 1):
                for poller, jobs in phases.get(slot % every, ()):
                    poller.begin_behind(jobs, self._cycle)

    def settle_rest(self, now_s: float) -> None:
        """Settle everything that is no control input, and compare read-backs."""
        self.table.settle(self._rest, now_s)
        self.actuator.observe()

    def apply(self, wanted: Iterable[tuple[int, float | None]], cycle: int, now_s: float) -> None:
        """Hand the arbiter's values to the actuator."""
        self.actuator.apply(wanted, cycle, now_s)

    def columns(self) -> Columns:
        """The table's arrays."""
        t = self.table
        return Columns(t.value, t.source_utc_s, t.received_s, t.quality, t.reason)

    def reading(self, point: int, now_s: float) -> Reading:
        """One point's latest."""
        return self.table.reading(point, now_s)

    def slot(self, point: int) -> SlotState:
        """How far a set-point is."""
        slot = self.actuator.slots[point]
        return SlotState(slot.state, slot.written, slot.changed_cycle)

    def acknowledged_cycle(self, cycle: int) -> int:
        """The cycle up to which all set-points are acknowledged."""
        return self.actuator.acknowledged_cycle(cycle)

    def report(self, utc_s: float) -> FieldReport:
        """Health of all connections."""
        self.table.refresh.look(time.monotonic())
        quality = self.table.quality[self._readable]
        return FieldReport(
            utc_s, tuple(p.report() for p in self.pollers.values()),
            int((quality == Quality.GOOD).sum()), int((quality == Quality.UNCERTAIN).sum()),
            int((quality == Quality.BAD).sum()), self._devices_good())

    def _devices_good(self) -> int:
        """Devices of which every point that can be read is good."""
        wrong = self._device_of[self.table.quality[self._readable] != Quality.GOOD]
        return len(self._site.devices) - len(np.unique(wrong))


def _batch(jobs: Sequence[Job]) -> Batch:
    fast = tuple(j for j in jobs if j.every == 1)
    return Batch(fast, sum(j.critical for j in fast))


def _release(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def plan_site(site: Site, drivers: Mapping[int, Driver]) -> list[ReadRequest]:
    """Every request that a site needs, by device and rate class."""
    requests: list[ReadRequest] = []
    for device in site.devices:
        points = [p for p in site.points[device.first_point : device.first_point + device.point_count] if p.readable]
        by_period: dict[int, list[Point]] = {}
        for point in points:
            by_period.setdefault(point.period_ms, []).append(point)
        for _, found in sorted(by_period.items()):
            requests += drivers[device.connection].plan(device, found)
    return requests
