"""One task a connection: opens it, keeps it open, asks what is due, writes what is wanted."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pswd_edge.errors import DecodeError, DeviceError, RefusedError, SilentError, UnreachableError
from pswd_edge.field.drivers.base import Driver, ReadRequest
from pswd_edge.field.health import Breaker, Latency
from pswd_edge.field.table import Table
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Reason
from pswd_edge.model.report import LinkReport

CONNECT_TIMEOUT_S = 3.0
WRITES_MAX = 256
SILENT_MAX = 3                # answers missed in a row by a whole connection: then it is made anew
_GATEWAY_CODES = (10, 11)     # Modbus: the gateway answers for a unit that does not
Tell = Callable[[str, str, str, str], None]
"""severity, code, subject, text of an event."""


@dataclass(slots=True)
class Job:
    """A request in the schedule: due in every `every`-th cycle, at `phase`; `slot` is its place in the table."""

    request: ReadRequest
    slot: int
    every: int
    phase: int
    critical: bool


@dataclass(slots=True)
class Write:
    """A value on its way to a device; `done` hears None, or the error."""

    device: Device
    point: Point
    value: float
    done: Callable[[DeviceError | None], None]


@dataclass(slots=True)
class Counts:
    """Since start."""

    asked: int = 0
    answered: int = 0
    silent: int = 0
    refused: int = 0
    late: int = 0
    reconnects: int = 0
    slots_missed: int = 0


@dataclass(slots=True)
class _Unit:
    breaker: Breaker
    scan: int = -1            # scan in which it went silent: the rest of that scan is skipped
    down_since_s: float = field(default=0.0)


class Poller:
    """Supervises one connection. `begin` and `submit` are called by the cycle and never wait."""

    def __init__(self, connection: Connection, driver: Driver, table: Table, tell: Tell,
                 input_done: Callable[[], None]) -> None:
        self.connection = connection
        self.counts = Counts()
        self.state = "closed"
        self.reason = ""
        self._driver, self._table, self._tell, self._input_done = driver, table, tell, input_done
        self._latency = Latency(connection.timeout_max_ms / 1000)
        self._breaker = Breaker(connection.index)
        self._units: dict[int, _Unit] = {}
        self._idle: asyncio.Future[None] | None = None
        self._jobs: Sequence[Job] = ()
        self._behind: Sequence[Job] = ()
        self._scanning = False
        self._scan = 0
        self._silent_in_a_row = 0
        self._writes: deque[Write] = deque()
        self._last_s = 0.0

    # --- called by the cycle ------------------------------------------------------------------------------------

    def begin(self, jobs: Sequence[Job]) -> int:
        """Start a scan of `jobs`; returns how many critical ones will report.

        Where the last scan is still under way this slot is missed: counted, never queued.
        """
        if self.state != "open":
            return 0
        if self._scanning or self._jobs:
            self.counts.slots_missed += len(jobs)
            return 0
        self._jobs = jobs
        self._wake()
        return sum(j.critical for j in jobs)

    def begin_behind(self, jobs: Sequence[Job]) -> None:
        """Read these when the running scan is done; missed where those of last time are still waiting."""
        if self.state != "open":
            return
        if self._behind:
            self.counts.slots_missed += len(jobs)
            return
        self._behind = jobs
        self._wake()

    def submit(self, write: Write) -> None:
        """Write before anything else that has not been sent yet."""
        if self.state != "open":
            write.done(UnreachableError(f"{self.connection.id}: {self.state}"))
        elif len(self._writes) >= WRITES_MAX:
            write.done(UnreachableError(f"{self.connection.id}: {WRITES_MAX} writes are waiting already"))
        else:
            self._writes.append(write)
            self._wake()

    def report(self) -> LinkReport:
        """Health for the image."""
        c = self.counts
        return LinkReport(self.connection.index, self.state, self.reason, self._latency.filtered_s * 1e3,
                          self._latency.timeout_s * 1e3, c.asked, c.answered, c.silent, c.refused,
                          c.late + getattr(self._driver, "late", 0), c.reconnects, c.slots_missed)

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

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
        await asyncio.sleep(max(0.0, self._breaker.retry_s - time.monotonic()))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._driver.open()
            await asyncio.sleep(self.connection.pause_after_connect_ms / 1000)
        except (DeviceError, TimeoutError) as error:
            self._lost(str(error) or f"no connection in {CONNECT_TIMEOUT_S} s")
            return False
        self.counts.reconnects += 1
        self._silent_in_a_row = 0
        self.state, self.reason = "open", ""
        return True

    def _lost(self, why: str) -> None:
        first = self._breaker.closed
        self._breaker.fail(time.monotonic())
        self.state, self.reason = "backoff", why
        if first:
            self._tell("warning", "connection_lost", self.connection.id,
                       f"{self.connection.id}: {why}; its points age and go BAD; tried again until it answers")

    async def _serve_until_lost(self) -> None:
        try:
            await self._serve()
        except UnreachableError as error:
            self._lost(str(error))
        finally:
            self._abandon()
            self.counts.late += getattr(self._driver, "late", 0)
            await self._driver.close()

    def _abandon(self) -> None:
        """Whoever waits for something of this connection learns now that it will not come."""
        if self.state == "open":
            self.state = "closed"
        for job in self._jobs:
            if job.critical:
                self._input_done()
        self._jobs, self._behind, self._scanning = (), (), False
        while self._writes:
            self._writes.popleft().done(UnreachableError(f"{self.connection.id}: {self.reason or 'closed'}"))

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._writes:
                await self._write(self._writes.popleft())
            if self._jobs:
                jobs, self._jobs = self._jobs, ()
                await self._scan_jobs(jobs)
            elif self._behind:
                jobs, self._behind = self._behind, ()
                await self._scan_jobs(jobs)
            elif not self._writes:
                self._idle = loop.create_future()
                await self._idle

    async def _scan_jobs(self, jobs: Sequence[Job]) -> None:
        self._scanning = True
        self._scan += 1
        left = sum(j.critical for j in jobs)
        try:
            for job in jobs:
                while self._writes:
                    await self._write(self._writes.popleft())
                await self._poll(job)
                if job.critical:
                    left -= 1
                    self._input_done()
        finally:
            self._scanning = False
            for _ in range(left):
                self._input_done()

    async def _poll(self, job: Job) -> None:
        request = job.request
        unit = self._unit(request.device.unit)
        if unit.breaker.failures and not self._may_probe(unit):
            return
        if self.connection.min_gap_ms:
            await self._gap()
        self.counts.asked += 1
        started_s = time.monotonic()
        try:
            answer = await self._driver.read(request, self._latency.timeout_s)
        except DeviceError as error:
            self._failed(job, unit, error)
            return
        now_s = self._last_s = time.monotonic()
        if isinstance(answer, bytes):
            self._table.put_raw(job.slot, answer, now_s)
        else:
            self._table.put_values(job.slot, answer, now_s)
        self._latency.add(now_s - started_s)
        self._answered()
        if unit.breaker.failures:
            self._back(request.device, unit)

    def _answered(self) -> None:
        """Only an answer proves a connection: opening one proves nothing where the protocol is UDP."""
        self.counts.answered += 1
        self._silent_in_a_row = 0
        if not self._breaker.closed:
            self._tell("info", "connection_back", self.connection.id,
                       f"{self.connection.id}: answering again after {self._breaker.failures} attempts")
            self._breaker.succeed()

    def _unit(self, number: int) -> _Unit:
        unit = self._units.get(number)
        if unit is None:
            unit = self._units[number] = _Unit(Breaker(1000 * self.connection.index + number))
        return unit

    def _may_probe(self, unit: _Unit) -> bool:
        """After silence: one request in each back-off, and none more in the scan that met it."""
        return unit.scan != self._scan and unit.breaker.ready(time.monotonic())

    async def _gap(self) -> None:
        left_s = self._last_s + self.connection.min_gap_ms / 1000 - time.monotonic()
        if left_s > 0:
            await asyncio.sleep(left_s)

    def _failed(self, job: Job, unit: _Unit, error: DeviceError) -> None:
        self._last_s = time.monotonic()
        if isinstance(error, UnreachableError):
            raise error
        if isinstance(error, SilentError) or (isinstance(error, RefusedError) and error.code in _GATEWAY_CODES):
            self._silent(job, unit, error)
            return
        self._answered()
        self.counts.refused += 1
        self._table.put_failure(job.slot, Reason.UNDECODABLE if isinstance(error, DecodeError) else Reason.REFUSED)

    def _silent(self, job: Job, unit: _Unit, error: DeviceError) -> None:
        self.counts.silent += 1
        unit.scan = self._scan
        if unit.breaker.failures == 1:
            unit.down_since_s = self._last_s
            self._tell("warning", "device_silent", job.request.device.id,
                       f"{job.request.device.id} ({self.connection.id} unit {job.request.device.unit}): no answer to read "
                       f"{job.request.text} ({error}); its points age and go BAD; one request in each back-off")
        unit.breaker.fail(self._last_s)
        if isinstance(error, SilentError):
            self._latency.widen()
            self._silent_in_a_row += 1
            if self._silent_in_a_row >= SILENT_MAX * max(1, len(self._units)):
                raise UnreachableError(f"{self._silent_in_a_row} requests in a row without an answer")

    def _back(self, device: Device, unit: _Unit) -> None:
        if unit.breaker.failures > 1:
            self._tell("info", "device_back", device.id,
                       f"{device.id}: answering again after {self._last_s - unit.down_since_s:.1f} s")
        unit.breaker.succeed()

    async def _write(self, write: Write) -> None:
        if self.connection.min_gap_ms:
            await self._gap()
        error: DeviceError | None = None
        try:
            await self._driver.write(write.device, write.point, write.value, max(0.2, self._latency.timeout_s))
        except DeviceError as caught:
            error = caught
        except asyncio.CancelledError:
            write.done(UnreachableError(f"{self.connection.id}: closing"))
            raise
        self._last_s = time.monotonic()
        write.done(error)
        if isinstance(error, UnreachableError):
            raise error


async def cancel_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they have closed what they hold."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
