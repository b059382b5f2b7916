"""One task a connection: opens it, keeps it open, asks what is due, writes what is wanted.

In the steady state the task is parked: where the driver can, a scan is a chain of callbacks (chain.py), without a
coroutine between an answer and the next request. Writes, tools and slow reads are the task's.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pswd_edge.errors import DeviceError, SilentError, UnreachableError
from pswd_edge.field.account import Account
from pswd_edge.field.chain import Chain, unexpected
from pswd_edge.field.drivers.base import DirectDriver, Driver
from pswd_edge.field.spread import Spread
from pswd_edge.field.table import Table
from pswd_edge.field.work import Batch, Job, Step, Tell, Visit, Write
from pswd_edge.model.device import Connection
from pswd_edge.model.report import LinkReport

CONNECT_TIMEOUT_S = 3.0
WRITES_MAX = 256
VISITS_MAX = 16
_SAMPLE = 3                   # one scan in four is measured; connections take turns
WRITE_TIMEOUT_S = 0.2         # at least: devices take longer to store than to show


class Poller:
    """Supervises one connection. `begin`, `begin_behind` and `submit` are called by the cycle and never wait.

    `has_fast`: it has reads in every cycle, which slower ones must not keep from starting.
    """

    def __init__(self, connection: Connection, driver: Driver, table: Table, tell: Tell,
                 input_done: Callable[[int], None]) -> None:
        """`input_done` hears the cycle with which `begin` was called, once for each critical job."""
        self.connection = connection
        self.account = Account(connection, table, tell)
        self.counts = self.account.counts
        self.state = "closed"
        self.reason = ""
        self.sessions = 0
        self._heard_before = 0
        self.has_fast = True
        self._driver, self._input_done = driver, input_done
        self._direct = False
        self._parked = False
        self._idle: asyncio.Future[None] | None = None
        self._batch: Batch | None = None
        self._scanning = False
        self._cycle = 0
        self._writes: deque[Write] = deque()
        self._visits: deque[Visit] = deque()
        self._chain = Chain(self, self.account, self._writes, input_done)
        self._scans, self._began_s = Spread(connection.index), 0.0  # began: of a scan that is measured, else 0
        self._sampled = connection.index & _SAMPLE

    # --- called by the cycle ------------------------------------------------------------------------------------

    def begin(self, batch: Batch, cycle: int) -> int:
        """Start a scan; returns how many critical jobs will report with `cycle`.

        Where the last scan is still under way this slot is missed: counted, never queued.
        """
        if self._parked and self._direct:
            self._parked, self._cycle = False, cycle
            if cycle & _SAMPLE == self._sampled:
                self._began_s = time.monotonic()
            self._chain.start(batch, cycle)
            return batch.critical
        if self.state != "open":
            return 0
        if self._scanning or self._chain.running or self._batch is not None:
            self.counts.slots_missed += len(batch.jobs)
            return 0
        self._batch, self._cycle = batch, cycle
        if cycle & _SAMPLE == self._sampled:
            self._began_s = time.monotonic()
        self.wake()
        return batch.critical

    def begin_behind(self, jobs: Sequence[Job], cycle: int) -> None:
        """Read these when no faster job waits, the longest waiting first; one that still waits has missed a slot."""
        if self.state != "open":
            return
        self._cycle = cycle
        if self._parked and self._direct and not self.has_fast:
            self._parked = False
            self._chain.start(Batch(tuple(jobs), 0), cycle)
            return
        behind = self.account.behind
        for job in jobs:
            if job.slot in behind:
                self.counts.slots_missed += 1
            else:
                behind[job.slot] = job
        self.wake()

    def submit(self, write: Write) -> None:
        """Write before anything else that has not been sent yet."""
        if self.state != "open":
            write.done(UnreachableError(f"{self.connection.id}: {self.state}"))
        elif len(self._writes) >= WRITES_MAX:
            write.done(UnreachableError(f"{self.connection.id}: {WRITES_MAX} writes are waiting already"))
        else:
            self._writes.append(write)
            self.wake()

    def hurry(self, device: int) -> None:
        """Read the slower classes of this device (its index) as soon as nothing faster waits: it has said something."""
        if self.state != "open":
            return
        for job in self.account.slow:
            if job.request.device.index == device:
                self.account.behind.setdefault(job.slot, job)
        self.wake()

    async def visit(self, step: Step) -> Any:
        """Let a tool have the driver for one step, when nothing of the cycle waits. Raises DeviceError.

        The step must bound its own time: a cycle that begins meanwhile waits for it.
        """
        if self.state != "open":
            raise UnreachableError(f"{self.connection.id}: {self.reason or self.state}")
        if len(self._visits) >= VISITS_MAX:
            raise UnreachableError(f"{self.connection.id}: {VISITS_MAX} tools are waiting already")
        visit = Visit(step, asyncio.get_running_loop().create_future())
        self._visits.append(visit)
        self.wake()
        return await visit.answer

    def replan(self, connection: Connection, table: Table, slots: Mapping[int, int], slow: Sequence[Job]) -> None:
        """Go on under another plan. What is under way goes on: its jobs are the same objects, under new numbers.

        Where one of the kept connection's requests is new, it comes with the next cycle that has it due.
        """
        self.connection = self.account.connection = connection
        self.account.slow = slow
        self.account.replan(table, slots)
        self._chain.forget()

    @property
    def healthy(self) -> bool:
        """Whether the connection that is open now has brought an answer, and the last request did not fail."""
        heard = self.counts.answered + self.counts.refused > self._heard_before
        return self.state == "open" and self.account.breaker.closed and heard

    def report(self) -> LinkReport:
        """Health for the image; round trip and time-out are those of the slowest unit."""
        c, units = self.counts, tuple(self.account.units.values())
        if len(units) == 1:
            round_trip_s, timeout_s = units[0].latency.filtered_s, units[0].timeout_s
        else:
            round_trip_s = max((u.latency.filtered_s for u in units), default=0.0)
            timeout_s = max((u.timeout_s for u in units), default=self.connection.timeout_max_ms / 1e3)
        return LinkReport(self.connection.index, self.state, self.reason, round_trip_s * 1e3, timeout_s * 1e3, c.asked,
                          c.answered, c.silent, c.refused, c.late + getattr(self._driver, "late", 0), c.reconnects,
                          c.slots_missed, *self.account.trips.percentiles_ms, *self._scans.percentiles_ms)

    def wake(self) -> None:
        """There is something for the task to do; while a chain of callbacks runs, its end wakes the task."""
        if self._parked and self._idle is not None and not self._idle.done():
            self._parked = False
            self._idle.set_result(None)

    # --- called by the chain ------------------------------------------------------------------------------------

    def scanned(self, cycle: int, left: int, rest: tuple[Job, ...]) -> None:
        """The chain has ended; `rest` are jobs that a write has pre-empted, `left` critical jobs not told yet."""
        self._parked = True
        if self._began_s and not rest:
            self._sample()
        if rest:
            self._batch = Batch(rest, left)
        elif left:
            self._release(cycle, left)
        if rest or self._writes or self._visits or self.account.behind:
            self.wake()

    def _sample(self) -> None:
        self._scans.add(time.monotonic() - self._began_s)
        self._began_s = 0.0

    def broken(self, error: Exception) -> None:
        """The chain met the end of the connection: the task takes it from there."""
        if self._idle is not None and not self._idle.done():
            self._idle.set_exception(error)

    def _release(self, cycle: int, left: int) -> None:
        for _ in range(left):
            self._input_done(cycle)

    # --- the task -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                if await self._connect():
                    await self._serve_until_lost()
        finally:
            await self._driver.close()

    async def _connect(self) -> bool:
        await asyncio.sleep(max(0.0, self.account.breaker.retry_s - time.monotonic()))
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._driver.open()
            await asyncio.sleep(self.connection.pause_after_connect_ms / 1000)
        except (DeviceError, TimeoutError) as error:
            self._lost(str(error) or f"no connection in {CONNECT_TIMEOUT_S} s", started_s)
        except Exception as error:  # noqa: BLE001  # a mistake in a driver must not leave a connection dead for ever
            self._lost(unexpected(error), started_s)
        else:
            self._connected()
            return True
        await self._driver.close()
        return False

    def _connected(self) -> None:
        self.counts.reconnects += self.sessions > 0
        self.sessions += 1
        self._heard_before = self.counts.answered + self.counts.refused
        self.account.connected()
        self._direct = isinstance(self._driver, DirectDriver) and not self.connection.min_gap_ms
        if isinstance(self._driver, DirectDriver):
            self._chain.connected(self._driver)
        self.state, self.reason = "open", ""

    def _lost(self, why: str, since_s: float) -> None:
        self.state, self.reason = "backoff", why
        self.account.lost(why, since_s)

    async def _serve_until_lost(self) -> None:
        try:
            await self._serve()
        except UnreachableError as error:
            self._lost(str(error), time.monotonic())
        except Exception as error:  # noqa: BLE001  # as above: the connection is made anew, with back-off
            self._lost(unexpected(error), time.monotonic())
        finally:
            self._abandon()
            self.counts.late += getattr(self._driver, "late", 0)
            await self._driver.close()

    def _abandon(self) -> None:
        """Whoever waits for something of this connection learns now that it will not come."""
        if self.state == "open":
            self.state = "closed"
        self._idle, self._parked = None, False
        if self._chain.running:
            self._release(*self._chain.stop())
        batch, self._batch = self._batch, None
        self.account.behind = {}
        self._release(self._cycle, 0 if batch is None else batch.critical)
        gone = UnreachableError(f"{self.connection.id}: {self.reason or 'closed'}")
        while self._writes:
            self._writes.popleft().done(gone)
        while self._visits:
            self._visits.popleft().give(error=gone)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._writes:
                await self._write(self._writes.popleft())
            if self._batch is not None:
                await self._scan(self._batch)
            elif self._visits:
                await self._visit(self._visits.popleft())
            elif behind := self.account.behind:
                await self._poll(behind.pop(next(iter(behind))), self._cycle)
            else:
                self._idle, self._parked = loop.create_future(), True
                await self._idle

    async def _scan(self, batch: Batch) -> None:
        self._batch, self._scanning = None, True
        cycle, left = self._cycle, batch.critical
        try:
            for job in batch.jobs:
                while self._writes:
                    await self._write(self._writes.popleft())
                await self._poll(job, cycle)
                if job.critical:
                    left -= 1
                    self._input_done(cycle)
        finally:
            self._scanning = False
            if self._began_s:
                self._sample()
            self._release(cycle, left)

    async def _poll(self, job: Job, scan: int) -> None:
        unit = job.unit or self.account.unit_of(job)
        if unit.breaker.failures and not unit.may_ask(scan, time.monotonic()):
            return
        if self.connection.min_gap_ms:
            await self._gap()
        self.counts.asked += 1
        started_s = time.monotonic()
        try:
            answer = await self._driver.read(job.request, unit.timeout_s)
        except DeviceError as error:
            self.account.failed(job, unit, error, scan)
        else:
            self.account.answered(job, unit, answer, started_s, time.monotonic())

    async def _gap(self) -> None:
        left_s = self.account.last_s + self.connection.min_gap_ms / 1000 - time.monotonic()
        if left_s > 0:
            await asyncio.sleep(left_s)

    async def _visit(self, visit: Visit) -> None:
        if visit.answer.done():  # whoever asked has gone
            return
        if self.connection.min_gap_ms:
            await self._gap()
        try:
            visit.give(await visit.step(self._driver))
        except DeviceError as error:
            visit.give(error=error)
            if isinstance(error, UnreachableError):
                raise
        except BaseException:
            visit.give(error=UnreachableError(f"{self.connection.id}: closing"))
            raise
        finally:
            self.account.last_s = time.monotonic()

    async def _write(self, write: Write) -> None:
        device = write.device
        unit = self.account.unit(device.unit)
        if not unit.breaker.ready(time.monotonic()):
            write.done(SilentError(f"{self.account.name(device)} is silent; tried again after its back-off"))
            return
        if self.connection.min_gap_ms:
            await self._gap()
        error: DeviceError | None = None
        try:
            await self._driver.write(device, write.point, write.value, max(WRITE_TIMEOUT_S, unit.timeout_s))
        except DeviceError as caught:
            error = caught
        except BaseException:  # cancelled, or a mistake in a driver: whoever waits for the write must hear of it
            write.done(UnreachableError(f"{self.connection.id}: closing"))
            raise
        self.account.last_s = time.monotonic()
        write.done(error)
        self.account.wrote(write, unit, error, self._cycle)


async def cancel_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they have closed what they hold."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
