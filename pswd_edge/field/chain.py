"""A scan as a chain of callbacks: each answer sends the next request (decision 24).

A coroutine between an answer and the next request costs two turns of the event loop and two futures. Where the driver
offers `sender` and `take`, the poller's task sleeps through the scan, and this runs instead: one request at a time, as
the task would. It is the hottest Python of the house: a look-up or a call more is felt.
"""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from pswd_edge.errors import DeviceError, UnreachableError
from pswd_edge.field.account import Account
from pswd_edge.field.drivers.base import DirectDriver, Send
from pswd_edge.field.work import Batch, Job, Write


class Host(Protocol):
    """The poller, as the chain sees it."""

    def scanned(self, cycle: int, left: int, rest: tuple[Job, ...]) -> None:
        """The chain has ended; `rest` are jobs that a write has pre-empted, `left` critical jobs not told yet."""
        ...

    def broken(self, error: Exception) -> None:
        """The connection has come to its end."""
        ...


class Chain:
    """One poller's. `running` from `start` until the host hears `scanned`, or `stop`."""

    __slots__ = ("_account", "_at", "_cycle", "_driver", "_hear", "_host", "_input_done", "_job", "_jobs", "_left",
                 "_senders", "_started_s", "_writes", "running")

    def __init__(self, host: Host, account: Account, writes: deque[Write], input_done: Callable[[int], None]) -> None:
        """`writes` are those that wait: while there are some, no further read is sent."""
        self._host, self._account, self._writes, self._input_done = host, account, writes, input_done
        self._driver: DirectDriver | None = None
        self._senders: dict[int, Send] = {}
        self._jobs: tuple[Job, ...] = ()
        self._at = self._left = self._cycle = 0
        self._started_s = 0.0
        self._hear = self._heard
        self.running = False

    def connected(self, driver: DirectDriver) -> None:
        """A new session: what was prepared for the last one is void."""
        self._driver = driver
        self._senders.clear()

    def forget(self) -> None:
        """The plan has changed: requests have new numbers."""
        self._senders.clear()

    def start(self, batch: Batch, cycle: int) -> None:
        """Ask the first job."""
        self.running = True
        self._jobs, self._left = batch
        self._at, self._cycle = 0, cycle
        try:
            self._next()
        except Exception as error:  # noqa: BLE001  # the cycle itself must not hear of a driver's mistake
            self._host.broken(_as_lost(error))

    def stop(self) -> tuple[int, int]:
        """Forget what is under way; returns the cycle, and the critical jobs that nobody was told of."""
        self.running = False
        return self._cycle, self._left

    def _next(self) -> None:
        """Ask the next job whose unit may be asked, or end."""
        account, jobs = self._account, self._jobs
        while self._at < len(jobs):
            if self._writes:
                self._end(jobs[self._at :])
                return
            job = self._job = jobs[self._at]
            self._at += 1
            unit = job.unit or account.unit_of(job)
            self._started_s = now_s = monotonic()
            if account.calm or unit.breaker.failures == 0:
                timeout_s = unit.latency.timeout_s
            elif unit.may_ask(self._cycle, now_s):
                timeout_s = unit.timeout_s
            else:
                self._done(job)
                continue
            account.counts.asked += 1
            send = self._senders.get(job.slot) or self._sender(job)
            send(timeout_s, now_s, self._hear)
            return
        self._end(())

    def _sender(self, job: Job) -> Send:
        assert self._driver is not None  # `connected` comes before any scan
        send = self._senders[job.slot] = self._driver.sender(job.request)
        return send

    def _heard(self, answer: bytes | DeviceError) -> None:
        if not self.running:
            return
        job = self._job
        unit = job.unit
        assert unit is not None  # filled in when it was asked
        try:
            if type(answer) is bytes:
                try:
                    registers = self._driver.take(job.request, answer)  # type: ignore[union-attr]  # it was asked
                except DeviceError as error:
                    self._account.failed(job, unit, error, self._cycle)
                else:
                    self._account.answered(job, unit, registers, self._started_s, monotonic())
            else:
                self._account.failed(job, unit, answer, self._cycle)  # type: ignore[arg-type]  # bytes are the other
            if job.critical:
                self._done(job)
            if self._at == len(self._jobs):
                self.running = False
                self._host.scanned(self._cycle, self._left, ())
            else:
                self._next()
        except Exception as error:  # noqa: BLE001  # a mistake must end in a new connection, not in the loop's log
            self._host.broken(_as_lost(error))

    def _done(self, job: Job) -> None:
        if job.critical:
            self._left -= 1
            self._input_done(self._cycle)

    def _end(self, rest: tuple[Job, ...]) -> None:
        self.running = False
        self._host.scanned(self._cycle, self._left, rest)


def unexpected(error: Exception) -> str:
    """A mistake in a driver, in words."""
    return f"unexpected {type(error).__name__} in the driver: {error}"


def _as_lost(error: Exception) -> UnreachableError:
    return error if isinstance(error, UnreachableError) else UnreachableError(unexpected(error))
