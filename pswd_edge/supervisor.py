"""Starts the control and the gateway process as systemd would, for the demo and for development.

Each child gets a notify socket of its own. It is ready when it says READY=1, killed and started again when its
WATCHDOG=1 stays away or when it exits, given up after too many restarts, and stopped in reverse order.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

GATEWAY_NICENESS = 15
CONTROL_PRIORITY = 10    # round robin, as in systemd/pswd-edge-control.service
CONFIG_EXIT_CODE = 2    # the site file is wrong: starting again cannot mend it
_ABORT_S = 1.0


@dataclass(frozen=True)
class Child:
    """One process. Times in s: `start_s` to READY=1, `watchdog_s` between WATCHDOG=1, `stop_s` from SIGTERM to SIGKILL.

    Where an `essential` child is given up, the supervisor stops the others too. `realtime` is a round-robin priority
    as in the unit file's CPUSchedulingPriority, 0 for none; without the right to set it the child runs without.
    """

    name: str
    command: tuple[str, ...]
    niceness: int = 0
    realtime: int = 0
    essential: bool = True
    start_s: float = 60.0
    watchdog_s: float = 10.0
    stop_s: float = 10.0


@dataclass(frozen=True)
class RestartRule:
    """Pauses double from `first_s` to `longest_s`; more than `limit` restarts in `window_s` are too many."""

    first_s: float = 0.5
    longest_s: float = 10.0
    limit: int = 5
    window_s: float = 60.0


@dataclass
class Unit:
    """What a child does now, for display.

    `state` is "waiting", "starting", "ready", "restarting", "failed" or "stopped"; `status` is its own last STATUS=.
    `pid` is None while it does not run; `reason` says why it ended last.
    """

    child: Child
    state: str = "waiting"
    status: str = ""
    reason: str = ""
    pid: int | None = None
    restarts: int = 0
    deadline_s: float = 0.0
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it was ready for the first time, or is given up."""


def site_children(site: Path, runtime_dir: Path, state_dir: Path, *, shadow: bool = False) -> tuple[Child, Child]:
    """The two processes of a site, control first: the gateway reads what control makes."""
    only = ("--shadow",) if shadow else ()
    run = (sys.executable, "-m", "pswd_edge", "run")
    return (
        Child("control", (*run, "control", "--site", str(site), *only), realtime=CONTROL_PRIORITY),
        Child("gateway", (*run, "gateway", "--runtime-dir", str(runtime_dir), "--state-dir", str(state_dir)),
              niceness=GATEWAY_NICENESS, essential=False),
    )


class Supervisor:
    """Keeps children running until `stop` is called or SIGTERM or SIGINT arrives. `units` may be read at any time."""

    def __init__(self, children: Sequence[Child], rule: RestartRule | None = None) -> None:
        self._rule = rule or RestartRule()
        self.units = {child.name: Unit(child) for child in children}
        self._stop = asyncio.Event()
        self._keepers: list[_Keeper] = []

    def stop(self) -> None:
        """Stop the children, the last started first; `run` returns when all have ended."""
        self._stop.set()

    async def ready(self) -> bool:
        """Wait until every child was ready once (True), or one is given up or the supervisor stops (False)."""
        for unit in self.units.values():
            await _first(unit.settled, self._stop)
            if unit.state in {"failed", "stopped"} or not unit.settled.is_set():
                return False
        return True

    async def run(self) -> int:
        """Exit code for the shell: 0, or 1 where a child was given up."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        with tempfile.TemporaryDirectory(prefix="pswd-notify-") as folder:
            try:
                await self._keep_all(Path(folder))
            finally:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.remove_signal_handler(number)
        return 1 if any(unit.state == "failed" for unit in self.units.values()) else 0

    async def _keep_all(self, folder: Path) -> None:
        tasks = []
        try:
            for unit in self.units.values():
                keeper = _Keeper(unit, self._rule, folder / f"{unit.child.name}.sock", self._stop)
                self._keepers.append(keeper)
                tasks.append(asyncio.create_task(keeper.keep(), name=f"keep-{unit.child.name}"))
                await _first(unit.settled, self._stop)    # the next one reads what this one makes
                if self._stop.is_set():
                    return
            await self._stop.wait()
        finally:
            self._stop.set()
            for keeper, task in zip(reversed(self._keepers), reversed(tasks), strict=False):
                keeper.let_go.set()
                await task


class _Keeper:
    """One child's life, from the first start to the last end."""

    def __init__(self, unit: Unit, rule: RestartRule, address: Path, stop: asyncio.Event) -> None:
        self._unit, self._rule, self._address, self._stop = unit, rule, address, stop
        self._starts: deque[float] = deque()
        self.let_go = asyncio.Event()    # set when it is this child's turn to end
        self._log = structlog.get_logger("supervisor").bind(child=unit.child.name)

    async def keep(self) -> None:
        """Start, watch, start again, until let go or given up."""
        unit = self._unit
        with _notify_socket(self._address) as notices:
            loop = asyncio.get_running_loop()
            loop.add_reader(notices, self._hear, notices)
            try:
                while not self.let_go.is_set():
                    code = await self._live_once()
                    if self.let_go.is_set():
                        unit.state = "stopped"
                    elif code == CONFIG_EXIT_CODE or not await self._pause():
                        self._give_up()
                        return
            finally:
                loop.remove_reader(notices)
                unit.settled.set()

    def _give_up(self) -> None:
        unit = self._unit
        unit.state = "failed"
        self._log.error("given up; see its own output above", reason=unit.reason, restarts=unit.restarts)
        if unit.child.essential:
            self._stop.set()

    async def _pause(self) -> bool:
        """Wait before the next start; False where there were too many."""
        now_s = time.monotonic()
        while self._starts and now_s - self._starts[0] > self._rule.window_s:
            self._starts.popleft()
        if len(self._starts) >= self._rule.limit:
            return False
        pause_s = min(self._rule.longest_s, self._rule.first_s * 2.0 ** len(self._starts))
        self._starts.append(now_s)
        self._unit.state = "restarting"
        self._unit.restarts += 1
        self._log.warning("ended; starting again", reason=self._unit.reason, pause_s=pause_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.let_go.wait(), pause_s)
        return True

    async def _live_once(self) -> int:
        """One process from its start to its end; returns its exit code."""
        unit, child = self._unit, self._unit.child
        environment = os.environ | {
            "NOTIFY_SOCKET": str(self._address), "WATCHDOG_USEC": str(int(child.watchdog_s * 1e6))}
        unit.state, unit.status = "starting", ""
        unit.deadline_s = time.monotonic() + child.start_s
        process = await asyncio.create_subprocess_exec(
            *_tied_to_us(child.command), env=environment, start_new_session=True)
        unit.pid = process.pid
        if child.realtime:
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.sched_setscheduler(process.pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(child.realtime))
        if child.niceness:
            with contextlib.suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, process.pid, child.niceness)
        ended = asyncio.create_task(process.wait())
        try:
            await self._watch(process, ended)
        finally:
            await self._end(process, ended)
            unit.pid = None
        return int(process.returncode or 0)

    async def _watch(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        """Return when the process has ended, must be killed, or is to be let go; `reason` says which."""
        unit = self._unit
        go = asyncio.create_task(self.let_go.wait())
        try:
            while (left_s := unit.deadline_s - time.monotonic()) > 0:
                left_s = min(left_s, unit.child.watchdog_s)    # READY=1 brings the deadline nearer
                done, _ = await asyncio.wait([ended, go], timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                if ended in done:
                    unit.reason = _exit_text(ended.result())
                    return
                if go in done:
                    unit.reason = "stopped"
                    return
        finally:
            go.cancel()
        silent = (f"no WATCHDOG=1 for {unit.child.watchdog_s:g} s" if unit.state == "ready"
                  else f"no READY=1 within {unit.child.start_s:g} s")
        unit.reason = f"{silent}; killed"
        process.send_signal(signal.SIGABRT)    # faulthandler, where it is on, prints every thread's stack
        await asyncio.wait([ended], timeout=_ABORT_S)

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        """SIGTERM to the process, SIGKILL to what is left of it and its workers."""
        if not ended.done() and self.let_go.is_set():
            process.terminate()
            await asyncio.wait([ended], timeout=self._unit.child.stop_s)
            if not ended.done():
                self._log.warning("did not stop; killed", stop_s=self._unit.child.stop_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await ended

    def _hear(self, notices: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                for line in notices.recv(4096).decode(errors="replace").splitlines():
                    self._take(line)

    def _take(self, line: str) -> None:
        unit = self._unit
        name, _, text = line.partition("=")
        if name == "STATUS":
            unit.status = text
        elif line == "READY=1" and unit.state == "starting":
            unit.state = "ready"
            unit.settled.set()
            self._log.info("ready", pid=unit.pid)
        if line in {"READY=1", "WATCHDOG=1"} and unit.state == "ready":
            unit.deadline_s = time.monotonic() + unit.child.watchdog_s


@contextlib.contextmanager
def _notify_socket(address: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notices:
        notices.bind(str(address))
        yield notices


def _tied_to_us(command: tuple[str, ...]) -> tuple[str, ...]:
    """The child gets SIGTERM where the supervisor itself is killed, if util-linux' setpriv is there to arrange it."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", "--", *command) if setpriv else command


def _exit_text(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


async def _first(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
