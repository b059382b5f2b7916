"""The field as the cycle sees it: begin the reads, wait for the inputs, take a snapshot, write, look after the rest."""

import asyncio
import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from pswd_edge.errors import DeviceError
from pswd_edge.field.actuator import Actuator
from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.isolate import Found, isolate
from pswd_edge.field.learnt import Learnt
from pswd_edge.field.poller import Poller, cancel_all
from pswd_edge.field.schedule import Key, Schedule, key_of, schedule_of
from pswd_edge.field.siteplan import DriverFactory, SitePlan, make_plan
from pswd_edge.field.table import Table
from pswd_edge.field.work import Job, Step, Tell
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.ports import Columns, SlotState
from pswd_edge.model.report import FieldReport
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Reading, Snapshot, freeze

_USUAL_SHARE_S = sys.getswitchinterval()
_SHARE_S = 0.0005             # of the interpreter: how long planning in a thread may keep a cycle waiting

CLOCK_AHEAD_S = 2.0           # of ours: then a device's time stamps are told to be wrong


class Field:
    """All connections of a site.

    `watched` are the points that the rules read; those of them that are read in every cycle are the control inputs,
    for which the cycle waits.
    """

    def __init__(self, site: Site, make_driver: DriverFactory, watched: Iterable[int], actuated: Iterable[int],
                 tell: Tell, learnt: Learnt | None = None) -> None:
        self._make_driver, self._tell = make_driver, tell
        self._learnt = learnt or Learnt()
        self._learnt.keep_only(site)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._searches: dict[str, asyncio.Task[None]] = {}
        self._cycle = 0
        self._pending = 0
        self._ready: asyncio.Future[None] | None = None
        self._slow_cycle: int | None = None
        self._ahead: set[str] = set()
        self.pollers: dict[int, Poller] = {}
        self._schedule = Schedule({}, {})
        self._plan = make_plan(site, make_driver, watched, self._learnt)
        self._install(self._plan)
        points = {i: site.points[i] for i in actuated}
        self.actuator = Actuator(points, site.devices, self.pollers, self.table, tell,
                                 site.control.disruptive_per_s)

    # --- the plan -----------------------------------------------------------------------------------------------

    @property
    def site(self) -> Site:
        """The site that is in force."""
        return self._plan.site

    @property
    def table(self) -> Table:
        """What is known of every point."""
        return self._plan.table

    def _install(self, plan: SitePlan) -> None:
        """Go on under a plan; connections that are kept keep their pollers, sessions and what is under way."""
        old, before = self._plan, self._known_jobs()
        kept = set(plan.kept_connections.values())
        known = {key: job for key, job in before.items() if job.request.device.connection in kept}
        places = {key: job.slot for key, job in known.items()}
        self._schedule = schedule_of(plan.site, plan.requests, plan.watched, known)
        slots = {places[key]: slot for slot, r in enumerate(plan.requests)
                 if (key := key_of(plan.site, r)) in places}
        alive = {id(job) for jobs in self._schedule.jobs.values() for job in jobs}
        for job in before.values():
            if id(job) not in alive:
                job.slot = plan.table.trash
        if old is not plan:
            plan.table.adopt(old.table, plan.kept_points, slots)
        self.pollers = {c.index: self._poller(plan, c, slots) for c in plan.site.connections}
        self._plan = plan
        self._fast = [(p, batch) for i, p in self.pollers.items() if (batch := self._schedule.fast(i)).jobs]

    def _poller(self, plan: SitePlan, connection: Connection, slots: Mapping[int, int]) -> Poller:
        before = plan.kept_connections.get(connection.index)
        poller = None if before is None else self.pollers.get(before)
        if poller is None:
            poller = Poller(connection, plan.drivers[connection.index], plan.table, self._tell, self._input_done)
            poller.account.on_refused = self._refused
        poller.has_fast = bool(self._schedule.fast(connection.index).jobs)
        poller.replan(connection, plan.table, slots, self._schedule.slow(connection.index))
        return poller

    def _known_jobs(self) -> dict[Key, Job]:
        return {key_of(self._plan.site, job.request): job for jobs in self._schedule.jobs.values() for job in jobs}

    def start(self) -> None:
        """Start the pollers that are not running yet."""
        for poller in self.pollers.values():
            name = poller.connection.id
            if name not in self._tasks:
                self._tasks[name] = asyncio.create_task(poller.run(), name=f"poller {name}")

    async def stop(self) -> None:
        """Stop the pollers and close their connections."""
        await cancel_all([*self._searches.values(), *self._tasks.values()])
        self._tasks.clear()

    def _refused(self, job: Job) -> None:
        """A device does not have something of what a request asks: find out what, unless that is under way."""
        device = job.request.device
        if device.id not in self._searches and self._learnt.may_search(device.id):
            task = asyncio.create_task(self._search(job), name=f"search {device.id}")
            self._searches[device.id] = task
            task.add_done_callback(partial(self._searched, device.id))

    def _searched(self, device_id: str, _task: asyncio.Task[None]) -> None:
        self._searches.pop(device_id, None)

    async def _search(self, job: Job) -> None:
        site, request = self._plan.site, job.request
        device, poller = request.device, self.pollers[request.device.connection]
        driver = self._plan.drivers[device.connection]

        async def read(asked: ReadRequest) -> None:
            await poller.visit(_reading(poller, asked))

        try:
            found = await isolate(driver, device, request.points, read)
        except DeviceError:
            return  # it went silent: the search begins anew when it refuses again
        if site is not self._plan.site or not self._learnt.add(site, device, *found):
            return
        self._tell("warning", "points_refused", device.id, _refusal_text(device, found))
        with contextlib.suppress(OSError):  # learnt again after the next start
            await asyncio.to_thread(self._learnt.save)
        await self._replan(site)

    def _recheck(self) -> None:
        """Now and then, whether a device has what it used to refuse: its firmware may be another by now."""
        now_s = time.monotonic()
        for device_id in self._learnt.due_again(now_s):
            device = self._plan.site.devices[self._plan.site.device_index[device_id]]
            if device_id not in self._searches:
                task = asyncio.create_task(self._ask_again(device), name=f"recheck {device_id}")
                self._searches[device_id] = task
                task.add_done_callback(partial(self._searched, device_id))

    async def _ask_again(self, device: Device) -> None:
        site, poller = self._plan.site, self.pollers[device.connection]
        points = [site.points[i] for i in self._learnt.refused_points(site) if site.points[i].device == device.index]
        for request in self._plan.drivers[device.connection].plan(device, points[:1]):
            try:
                await poller.visit(_reading(poller, request))
            except DeviceError:
                return
            if self._learnt.forget(device.id):
                self._tell("info", "points_asked_again", device.id, f"{device.id}: it answers {request.text}, which it "
                           "used to refuse; everything is asked again")
                await self._replan(site)

    async def _replan(self, site: Site) -> None:
        plan = await self.prepare(site, self._plan.watched)
        if site is self._plan.site:
            await self.close(self.switch(plan, [slot.point.index for slot in self.actuator.slots.values()]))

    async def prepare(self, site: Site, watched: Iterable[int]) -> SitePlan:
        """Plan a site in a thread while this one runs. Raises ConfigError, SecretError."""
        sys.setswitchinterval(_SHARE_S)
        try:
            return await asyncio.to_thread(make_plan, site, self._make_driver, watched, self._learnt, self._plan)
        finally:
            sys.setswitchinterval(_USUAL_SHARE_S)

    def switch(self, plan: SitePlan, actuated: Iterable[int]) -> list[asyncio.Task[None]]:
        """Go on under this plan, at once; `close` what is returned, the pollers that are gone, then `start` the new.

        What goes on as it was misses nothing: the same session, the same scan under way.
        """
        before = self.pollers
        self._install(plan)
        self._slow_cycle = None
        moved = dict(zip(*(x.tolist() for x in plan.kept_points), strict=True))
        self.actuator.replan({i: plan.site.points[i] for i in actuated}, plan.site.devices, self.pollers, plan.table,
                             moved)
        kept = set(self.pollers.values())
        gone = [p.connection.id for p in before.values() if p not in kept]
        return [self._tasks.pop(name) for name in gone if name in self._tasks]

    async def close(self, gone: list[asyncio.Task[None]]) -> None:
        """Close connections that are gone, before anything new is opened: some devices take one session only."""
        await cancel_all(gone)

    # --- the cycle ----------------------------------------------------------------------------------------------

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
        self.table.settle(self._plan.inputs, now_s)
        return freeze(cycle, now_s, utc_s, {i: self.table.reading(i, now_s) for i in self._plan.watched})

    def begin_slow(self, cycle: int) -> None:
        """Start the reads of the slower classes that are due; call it after the set-points went out."""
        last = cycle - 1 if self._slow_cycle is None else self._slow_cycle
        self._slow_cycle = cycle
        for connection, jobs in self._schedule.due(last, cycle):
            self.pollers[connection].begin_behind(jobs, self._cycle)

    def settle_rest(self, now_s: float) -> None:
        """Settle everything that is no control input, and compare read-backs."""
        self.table.settle(self._plan.rest, now_s)
        self.actuator.observe()

    def apply(self, wanted: Iterable[tuple[int, float | None]], cycle: int, now_s: float) -> None:
        """Hand the arbiter's values to the actuator."""
        self.actuator.apply(wanted, cycle, now_s)

    def hurry(self, device_id: str) -> None:
        """Read a device's slower points now, whatever their turn; in this cycle, behind what is faster."""
        site = self._plan.site
        index = site.device_index.get(device_id)
        if index is not None:
            self.pollers[site.devices[index].connection].hurry(index)

    def columns(self) -> Columns:
        """The table's arrays."""
        t = self.table
        return Columns(t.value, t.source_utc_s, t.received_s, t.quality, t.reason)

    def reading(self, point: int, now_s: float) -> Reading:
        """One point's latest."""
        return self.table.reading(point, now_s)

    def slot(self, point: int) -> SlotState:
        """How far a set-point is; idle where nothing is actuated."""
        slot = self.actuator.slots.get(point)
        if slot is None:
            return SlotState("idle", None)
        took_ms = None if math.isnan(slot.took_s) else 1000 * slot.took_s
        return SlotState(slot.state, slot.written, slot.changed_cycle, took_ms)

    def clear(self, point: int, who: str) -> bool:
        """Let a latched operation be tried again."""
        return self.actuator.clear(point, who)

    def rehearse(self, point: int, done: Callable[[str], None]) -> None:
        """Dry run of a select-before-operate."""
        self.actuator.rehearse(point, done)

    def acknowledged_cycle(self, cycle: int) -> int:
        """The cycle up to which all set-points are acknowledged."""
        return self.actuator.acknowledged_cycle(cycle)

    def report(self, utc_s: float) -> FieldReport:
        """Health of all connections and devices."""
        self._recheck()
        found = self._plan.health.report(self.table, tuple(self.pollers.values()), time.monotonic(), utc_s)
        self._judge_clocks(found)
        return found

    def _judge_clocks(self, found: FieldReport) -> None:
        """A clock that is ahead is wrong; one behind may only have nothing new to stamp."""
        ahead = {self._plan.site.devices[d.device].id: d.clock_offset_s for d in found.devices
                 if d.clock_offset_s is not None and d.clock_offset_s > CLOCK_AHEAD_S}
        for name in ahead.keys() - self._ahead:
            self._tell("warning", "device_clock", name, f"{name}: its clock is {ahead[name]:.1f} s ahead of ours: "
                       f"expected {CLOCK_AHEAD_S:g} s at most; its values are aged by our own; set one of the two")
        for name in self._ahead - ahead.keys():
            self._tell("info", "device_clock_well", name, f"{name}: its clock agrees with ours again")
        self._ahead = set(ahead)


def _release(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _reading(poller: Poller, request: ReadRequest) -> Step:
    """One read as a tool's visit."""
    return lambda driver: driver.read(request, poller.connection.timeout_max_ms / 1e3)


def _refusal_text(device: Device, found: Found) -> str:
    names = ", ".join(p.signal for p in found.refused[:5]) + (", …" if len(found.refused) > 5 else "")
    what = f"{len(found.refused)} points are not on the device ({names}): they stay BAD" if found.refused else \
        f"holes before register {', '.join(map(str, found.barriers))} are not to be read along"
    return f"{device.id}: {what}; the others are asked without them, also after a restart"
