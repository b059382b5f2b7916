"""One task a connection: opens it, keeps it open, asks what is due, writes what is wanted."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pswd_edge.errors import DecodeError, DeviceError, RefusedError, SilentError, UnreachableError, WriteError
from pswd_edge.field.drivers.base import Driver, ReadRequest
from pswd_edge.field.health import Breaker
from pswd_edge.field.table import Table
from pswd_edge.field.unit import Unit
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Reason
from pswd_edge.model.report import LinkReport

CONNECT_TIMEOUT_S = 3.0
WRITES_MAX = 256
VISITS_MAX = 16
WRITE_TIMEOUT_S = 0.2         # at least: devices take longer to store than to show
SILENT_MAX = 3                # answers missed in a row, by every unit of a connection: then it is made anew
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


class Batch(NamedTuple):
    """The jobs of one scan, in order; `critical` of them are control inputs."""

    jobs: tuple[Job, ...]
    critical: int


@dataclass(slots=True)
class Write:
    """A value on its way to a device; `done` hears None, or the error."""

    device: Device
    point: Point
    value: float
    done: Callable[[DeviceError | None], None]


Step = Callable[[Driver], Awaitable[Any]]
"""One exchange of a tool (read, probe, scan) with the driver, bounded by its own time-out."""


@dataclass(slots=True)
class Visit:
    """A tool's turn with the driver; `answer` brings what the step returned, or its DeviceError."""

    step: Step
    answer: asyncio.Future[Any]


@dataclass(slots=True)
class Counts:
    """Since start; reads but for `silent`, which counts writes too."""

    asked: int = 0
    answered: int = 0
    silent: int = 0
    refused: int = 0
    late: int = 0
    reconnects: int = 0
    slots_missed: int = 0


class Poller:
    """Supervises one connection. `begin`, `begin_behind` and `submit` are called by the cycle and never wait.

    `slow` are all jobs of the slower classes: read at once after each connect, whatever their phase.
    """

    def __init__(self, connection: Connection, driver: Driver, table: Table, tell: Tell,
                 input_done: Callable[[int], None]) -> None:
        """`input_done` hears the cycle with which `begin` was called, once for each critical job."""
        self.connection = connection
        self.counts = Counts()
        self.state = "closed"
        self.reason = ""
        self.sessions = 0
        self.slow: Sequence[Job] = ()
        self._driver, self._table, self._tell, self._input_done = driver, table, tell, input_done
        self._breaker = Breaker(connection.index)
        self._units: dict[int, Unit] = {}
        self._idle: asyncio.Future[None] | None = None
        self._batch: Batch | None = None
        self._behind: dict[int, Job] = {}
        self._scanning = False
        self._cycle = 0
        self._silent_in_a_row = 0
        self._silent_units: set[int] = set()
        self._writes: deque[Write] = deque()
        self._visits: deque[Visit] = deque()
        self._last_s = 0.0

    # --- called by the cycle ------------------------------------------------------------------------------------

    def begin(self, batch: Batch, cycle: int) -> int:
        """Start a scan; returns how many critical jobs will report with `cycle`.

        Where the last scan is still under way this slot is missed: counted, never queued.
        """
        if self.state != "open":
            return 0
        if self._scanning or self._batch is not None:
            self.counts.slots_missed += len(batch.jobs)
            return 0
        self._batch, self._cycle = batch, cycle
        self._wake()
        return batch.critical

    def begin_behind(self, jobs: Sequence[Job], cycle: int) -> None:
        """Read these when no faster job waits, the longest waiting first; one that still waits has missed a slot."""
        if self.state != "open":
            return
        self._cycle = cycle
        for job in jobs:
            if job.slot in self._behind:
                self.counts.slots_missed += 1
            else:
                self._behind[job.slot] = job
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
        self._wake()
        return await visit.answer

    def report(self) -> LinkReport:
        """Health for the image; round trip and time-out are those of the slowest unit."""
        c = self.counts
        round_trip_s = max((u.latency.filtered_s for u in self._units.values()), default=0.0)
        timeout_s = max((u.timeout_s for u in self._units.values()), default=self.connection.timeout_max_ms / 1e3)
        return LinkReport(self.connection.index, self.state, self.reason, round_trip_s * 1e3, timeout_s * 1e3, c.asked,
                          c.answered, c.silent, c.refused, c.late + getattr(self._driver, "late", 0), c.reconnects,
                          c.slots_missed)

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
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._driver.open()
            await asyncio.sleep(self.connection.pause_after_connect_ms / 1000)
        except (DeviceError, TimeoutError) as error:
            self._lost(str(error) or f"no connection in {CONNECT_TIMEOUT_S} s", started_s)
        except Exception as error:  # noqa: BLE001  # a mistake in a driver must not leave a connection dead for ever
            self._lost(_unexpected(error), started_s)
        else:
            self._connected()
            return True
        await self._driver.close()
        return False

    def _connected(self) -> None:
        self.counts.reconnects += self.sessions > 0
        self.sessions += 1
        self._silent_in_a_row = 0
        self._silent_units.clear()
        self._behind = {job.slot: job for job in self.slow}
        self.state, self.reason = "open", ""

    def _lost(self, why: str, since_s: float) -> None:
        """The back-off counts from `since_s`: waiting in vain for a connection is a part of it."""
        first = self._breaker.closed
        self._breaker.fail(since_s)
        self.state, self.reason = "backoff", why
        if first:
            self._tell("warning", "connection_lost", self.connection.id,
                       f"{self.connection.id}: {why}; its points age and go BAD; tried again until it answers")

    async def _serve_until_lost(self) -> None:
        try:
            await self._serve()
        except UnreachableError as error:
            self._lost(str(error), time.monotonic())
        except Exception as error:  # noqa: BLE001  # as above: the connection is made anew, with back-off
            self._lost(_unexpected(error), time.monotonic())
        finally:
            self._abandon()
            self.counts.late += getattr(self._driver, "late", 0)
            await self._driver.close()

    def _abandon(self) -> None:
        """Whoever waits for something of this connection learns now that it will not come."""
        if self.state == "open":
            self.state = "closed"
        batch, self._batch, self._behind = self._batch, None, {}
        for _ in range(0 if batch is None else batch.critical):
            self._input_done(self._cycle)
        gone = UnreachableError(f"{self.connection.id}: {self.reason or 'closed'}")
        while self._writes:
            self._writes.popleft().done(gone)
        while self._visits:
            _give(self._visits.popleft().answer, error=gone)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._writes:
                await self._write(self._writes.popleft())
            if self._batch is not None:
                await self._scan(self._batch)
            elif self._visits:
                await self._visit(self._visits.popleft())
            elif self._behind:
                await self._poll(self._behind.pop(next(iter(self._behind))), self._cycle)
            else:
                self._idle = loop.create_future()
                await self._idle

    async def _visit(self, visit: Visit) -> None:
        if visit.answer.done():  # whoever asked has gone
            return
        if self.connection.min_gap_ms:
            await self._gap()
        try:
            found = await visit.step(self._driver)
        except DeviceError as error:
            _give(visit.answer, error=error)
            if isinstance(error, UnreachableError):
                raise
        except BaseException:
            _give(visit.answer, error=UnreachableError(f"{self.connection.id}: closing"))
            raise
        else:
            _give(visit.answer, found)
        finally:
            self._last_s = time.monotonic()

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
            for _ in range(left):
                self._input_done(cycle)

    async def _poll(self, job: Job, scan: int) -> None:
        request = job.request
        unit = self._units.get(request.device.unit) or self._new_unit(request.device.unit)
        failures = unit.breaker.failures
        if failures and not unit.may_ask(scan, time.monotonic()):
            return
        if self.connection.min_gap_ms:
            await self._gap()
        self.counts.asked += 1
        started_s = time.monotonic()
        try:
            answer = await self._driver.read(request, unit.timeout_s if failures else unit.latency.timeout_s)
        except DeviceError as error:
            self._failed(job, unit, error, scan)
            return
        now_s = self._last_s = time.monotonic()
        if isinstance(answer, bytes):
            self._table.put_raw(job.slot, answer, now_s)
        else:
            self._table.put_values(job.slot, answer, now_s)
        unit.latency.add(now_s - started_s)
        self.counts.answered += 1
        self._proven(request.device, unit)
        if unit.wrong and unit.found_right(job.slot):
            self._tell("info", "device_well", request.device.id, f"{request.device.id}: every read is answered again")

    def _proven(self, device: Device, unit: Unit) -> None:
        """Only an answer proves a connection: opening one proves nothing where the protocol is UDP."""
        self._silent_in_a_row = 0
        if self._silent_units:
            self._silent_units.clear()
        if self._breaker.failures:
            self._tell("info", "connection_back", self.connection.id,
                       f"{self.connection.id}: answering again after {self._breaker.failures} attempts")
            self._breaker.succeed()
        if unit.breaker.failures:
            self._back(device, unit)

    def _new_unit(self, number: int) -> Unit:
        unit = self._units[number] = Unit(1000 * self.connection.index + number, self.connection.timeout_max_ms / 1000)
        return unit

    async def _gap(self) -> None:
        left_s = self._last_s + self.connection.min_gap_ms / 1000 - time.monotonic()
        if left_s > 0:
            await asyncio.sleep(left_s)

    def _failed(self, job: Job, unit: Unit, error: DeviceError, scan: int) -> None:
        self._last_s = time.monotonic()
        device = job.request.device
        if _is_silence(error):
            self._silent(device, unit, f"read {job.request.text} ({error})", error, scan)
            return
        self.counts.refused += 1
        self._proven(device, unit)
        self._table.put_failure(job.slot, Reason.UNDECODABLE if isinstance(error, DecodeError) else Reason.REFUSED)
        if unit.found_wrong(job.slot):
            self._tell("warning", "device_refuses", device.id,
                       f"{self._name(device)}: read {job.request.text}: {error}; its {len(job.request.points)} points "
                       "are BAD; asked again as often as before")

    def _silent(self, device: Device, unit: Unit, what: str, error: DeviceError, scan: int) -> None:
        """Raises UnreachableError where the whole connection is to be made anew."""
        self.counts.silent += 1
        unit.scan = max(unit.scan, scan)
        if unit.breaker.failures == 1:
            unit.down_since_s = self._last_s
            self._tell("warning", "device_silent", device.id, f"{self._name(device)}: no answer to {what}; its points "
                       "age and go BAD; one request in each back-off")
        unit.breaker.fail(self._last_s)
        if isinstance(error, UnreachableError):
            raise error
        if isinstance(error, RefusedError):  # the gateway itself is well
            self._silent_in_a_row = 0
            return
        self._silent_in_a_row += 1
        self._silent_units.add(device.unit)
        if self._silent_in_a_row >= SILENT_MAX and len(self._silent_units) == len(self._units):
            raise UnreachableError(f"{self._silent_in_a_row} requests in a row without an answer")

    def _name(self, device: Device) -> str:
        return f"{device.id} ({self.connection.id} unit {device.unit})"

    def _back(self, device: Device, unit: Unit) -> None:
        if unit.breaker.failures > 1:
            self._tell("info", "device_back", device.id,
                       f"{device.id}: answering again after {self._last_s - unit.down_since_s:.1f} s")
            for job in self.slow:
                if job.request.device.unit == device.unit:
                    self._behind.setdefault(job.slot, job)
        unit.breaker.succeed()

    async def _write(self, write: Write) -> None:
        device = write.device
        unit = self._units.get(device.unit) or self._new_unit(device.unit)
        if not unit.breaker.ready(time.monotonic()):
            write.done(SilentError(f"{self._name(device)} is silent; tried again after its back-off"))
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
        self._last_s = time.monotonic()
        write.done(error)
        if error is not None and _is_silence(error):
            self._silent(device, unit, f"write {write.point.id} ({error})", error, self._cycle)
        elif not isinstance(error, WriteError):
            self._proven(device, unit)


def _is_silence(error: DeviceError) -> bool:
    """Whether the device itself did not answer."""
    return isinstance(error, (SilentError, UnreachableError)) or (
        isinstance(error, RefusedError) and error.code in _GATEWAY_CODES)


def _unexpected(error: Exception) -> str:
    return f"unexpected {type(error).__name__} in the driver: {error}"


def _give(answer: asyncio.Future[Any], found: Any = None, *, error: DeviceError | None = None) -> None:
    """Tell a tool what came of its visit, where it still waits."""
    if answer.done():
        return
    if error is None:
        answer.set_result(found)
    else:
        answer.set_exception(error)


async def cancel_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they have closed what they hold."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
