"""What came of each exchange of one connection: values to the table, health to its units, changes as events."""

import time
from collections.abc import Callable, Mapping, Sequence

from pswd_edge.errors import DecodeError, DeviceError, RefusedError, SilentError, UnreachableError, WriteError
from pswd_edge.field.drivers.base import Reply
from pswd_edge.field.health import Breaker
from pswd_edge.field.isolate import is_illegal
from pswd_edge.field.spread import Spread
from pswd_edge.field.table import Table
from pswd_edge.field.unit import Unit
from pswd_edge.field.work import Counts, Job, Tell, Write
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.quality import Reason

SILENT_MAX = 3                # answers missed in a row, by every unit of a connection: then it is made anew
_GATEWAY_CODES = (10, 11)     # Modbus: the gateway answers for a unit that does not


class Account:
    """Kept by one poller. `behind` are the slow jobs that wait for their turn, the longest waiting first.

    `calm`: nothing has failed that is not known to work again. `on_refused` hears of requests of which the device does
    not have everything. `slow` are all jobs of the slower classes: read at once after each connect, whatever their
    phase.
    """

    def __init__(self, connection: Connection, table: Table, tell: Tell) -> None:
        self.connection = connection
        self.counts = Counts()
        self.breaker = Breaker(connection.index)
        self.units: dict[int, Unit] = {}
        self.slow: Sequence[Job] = ()
        self.behind: dict[int, Job] = {}
        self.last_s = 0.0
        self.calm = True
        self.trips = Spread(connection.index)
        self.on_refused: Callable[[Job], None] = lambda _job: None
        self._table, self._tell = table, tell
        self._silent_in_a_row = 0
        self._silent_units: set[int] = set()

    def unit(self, number: int) -> Unit:
        """What is known of a unit behind the connection."""
        found = self.units.get(number)
        if found is None:
            found = Unit(1000 * self.connection.index + number, self.connection.timeout_max_ms / 1000)
            self.units[number] = found
            for unit in self.units.values():
                unit.shares = len(self.units) > 1
        return found

    def unit_of(self, job: Job) -> Unit:
        """The unit that a job asks."""
        job.unit = self.unit(job.request.device.unit)
        return job.unit

    def connected(self) -> None:
        """A connection was made: what was counted against the last one is over."""
        self._silent_in_a_row = 0
        self._silent_units.clear()
        self.behind = {job.slot: job for job in self.slow}

    def lost(self, why: str, since_s: float) -> None:
        """The back-off counts from `since_s`: waiting in vain for a connection is a part of it."""
        first, self.calm = self.breaker.closed, False
        self.breaker.fail(since_s)
        if first:
            self._tell("warning", "connection_lost", self.connection.id,
                       f"{self.connection.id}: {why}; its points age and go BAD; tried again until it answers")

    def replan(self, table: Table, slots: Mapping[int, int]) -> None:
        """Go on with another table; `slots` are the requests that are kept, old number to new."""
        self._table = table
        self.behind = {job.slot: job for job in self.behind.values() if job.slot != table.trash}
        for unit in self.units.values():
            unit.wrong = {slots[slot]: left for slot, left in unit.wrong.items() if slot in slots}

    # --- reads --------------------------------------------------------------------------------------------------

    def answered(self, job: Job, unit: Unit, answer: Reply, started_s: float, now_s: float) -> None:
        """A read was answered."""
        self.last_s = now_s
        if type(answer) is bytes:
            self._table.put_raw(job.slot, answer, now_s)
        else:
            self._table.put_values(job.slot, answer, now_s)  # type: ignore[arg-type]  # Reply is one or the other
        self.counts.answered += 1
        round_trip_s = now_s - started_s
        if not self.counts.answered & 7:  # up at once, down in every eighth
            unit.latency.add(round_trip_s)
            self.trips.add(round_trip_s)
        elif round_trip_s >= unit.latency.filtered_s:
            unit.latency.add(round_trip_s)
        if not self.calm:
            self._recover(job, unit)

    def _recover(self, job: Job, unit: Unit) -> None:
        """Something had failed: see whether it works again, and whether anything is wrong still."""
        device = job.request.device
        self.proven(device, unit)
        if unit.wrong and unit.found_right(job.slot):
            self._tell("info", "device_well", device.id, f"{device.id}: every read is answered again")
        self.calm = not any(u.breaker.failures or u.wrong for u in self.units.values())

    def proven(self, device: Device, unit: Unit) -> None:
        """Only an answer proves a connection: opening one proves nothing where the protocol is UDP."""
        self._silent_in_a_row = 0
        self._silent_units.clear()
        if self.breaker.failures:
            self._tell("info", "connection_back", self.connection.id,
                       f"{self.connection.id}: answering again after {self.breaker.failures} attempts")
            self.breaker.succeed()
        if unit.breaker.failures:
            self._back(device, unit)

    def failed(self, job: Job, unit: Unit, error: DeviceError, scan: int) -> None:
        """A read was not answered, or not with what it asked for.

        Raises UnreachableError where the whole connection is to be made anew.
        """
        self.last_s, self.calm = time.monotonic(), False
        device = job.request.device
        if is_silence(error):
            self._silent(device, unit, f"read {job.request.text} ({error})", error, scan)
            return
        self.counts.refused += 1
        self.proven(device, unit)
        if is_illegal(error):
            self.on_refused(job)
        self._table.put_failure(job.slot, Reason.UNDECODABLE if isinstance(error, DecodeError) else Reason.REFUSED)
        if unit.found_wrong(job.slot):
            self._tell("warning", "device_refuses", device.id,
                       f"{self.name(device)}: read {job.request.text}: {error}; its {len(job.request.points)} points "
                       "are BAD; asked again as often as before")

    def wrote(self, write: Write, unit: Unit, error: DeviceError | None, scan: int) -> None:
        """What came of a write. Raises as `failed`."""
        if error is not None and is_silence(error):
            self._silent(write.device, unit, f"write {write.point.id} ({error})", error, scan)
        elif not isinstance(error, WriteError):
            self.proven(write.device, unit)

    def _silent(self, device: Device, unit: Unit, what: str, error: DeviceError, scan: int) -> None:
        self.counts.silent += 1
        self.calm = False
        unit.scan = max(unit.scan, scan)
        if unit.breaker.failures == 1:
            unit.down_since_s = self.last_s
            self._tell("warning", "device_silent", device.id, f"{self.name(device)}: no answer to {what}; its points "
                       "age and go BAD; one request in each back-off")
        unit.breaker.fail(self.last_s)
        if isinstance(error, UnreachableError):
            raise error
        if isinstance(error, RefusedError):  # the gateway itself is well
            self._silent_in_a_row = 0
            return
        self._silent_in_a_row += 1
        self._silent_units.add(device.unit)
        if self._silent_in_a_row >= SILENT_MAX and len(self._silent_units) == len(self.units):
            raise UnreachableError(f"{self._silent_in_a_row} requests in a row without an answer")

    def name(self, device: Device) -> str:
        """A device for a person, with where it is."""
        return f"{device.id} ({self.connection.id} unit {device.unit})"

    def _back(self, device: Device, unit: Unit) -> None:
        if unit.breaker.failures > 1:
            self._tell("info", "device_back", device.id,
                       f"{device.id}: answering again after {self.last_s - unit.down_since_s:.1f} s")
            for job in self.slow:
                if job.request.device.unit == device.unit:
                    self.behind.setdefault(job.slot, job)
        unit.breaker.succeed()


def is_silence(error: DeviceError) -> bool:
    """Whether the device itself did not answer."""
    return isinstance(error, (SilentError, UnreachableError)) or (
        isinstance(error, RefusedError) and error.code in _GATEWAY_CODES)
