"""Where the audit lies: two chains of entries in the gateway's state folder, written by one thread.

`audit/commands` holds what was done, `audit/refusals` what was not: a flood of refusals cannot push commands out of
their budget. Entries that wait at the same time share one sync.
"""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from pswd_edge.chain.chain import Body, Chain
from pswd_edge.clock import Clock, iso_utc

FOLDER = "audit"
COMMANDS, REFUSALS = "commands", "refusals"
SEGMENT_BYTES = 4 * 1024 * 1024
KEEP_BYTES = {COMMANDS: 256 * 1024 * 1024, REFUSALS: 64 * 1024 * 1024}
WAITING_MAX = 1000            # refusals between two writes; more are counted
PATIENCE_S = 5.0              # a disk that hangs longer is one that is full
_RETRY_S = 1.0
_LOG = structlog.get_logger("pswd_edge.audit")

Owed = tuple[Body, asyncio.Future[None]]


class AuditFile:
    """`write` for what must be on disk before it is answered, `note` for what need not be.

    `trouble` is empty, or says why the last write failed; it is tried again each second.
    """

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        folder = state_dir / FOLDER
        self._chains = {name: Chain(folder / name, SEGMENT_BYTES, keep) for name, keep in KEEP_BYTES.items()}
        self._opened: set[str] = set()
        self._folder, self._clock = folder, clock
        self._thread = ThreadPoolExecutor(1, "audit")
        self._owed: list[Owed] = []
        self._noted: deque[Body] = deque()
        self._lost = 0
        self._closing = False
        self._wake = asyncio.Event()
        self.trouble = ""

    async def write(self, body: Body) -> None:
        """On disk when this returns. Raises OSError where it is not; it is written once the disk takes it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owed.append((body, done))
        self._wake.set()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.shield(done)
        except TimeoutError as error:
            done.cancel()
            self._fail(OSError(f"no answer of the disk within {PATIENCE_S:.0f} s"))
            raise OSError(self.trouble) from error

    def note(self, body: Body) -> None:
        """Write it soon; where too many wait it is lost, and the number of those is written."""
        if len(self._noted) >= WAITING_MAX:
            self._lost += 1
            return
        self._noted.append(body)
        self._wake.set()

    async def run(self) -> None:
        """Write what comes, until it is closed."""
        loop = asyncio.get_running_loop()
        while True:
            await self._write_all(loop)
            if self._closing:
                return
            if self.trouble:
                await asyncio.sleep(_RETRY_S)
            else:
                await self._wake.wait()
            self._wake.clear()

    async def close(self, running: asyncio.Task[None] | None) -> None:
        """Let `running` (the task of `run`) write the rest, where the disk takes it in time, and let go."""
        self._closing = True
        self._wake.set()
        if running is not None:
            _, pending = await asyncio.wait([running], timeout=PATIENCE_S)
            running.cancel()
            if pending or self.trouble:
                _LOG.error("audit: the last entries could not be written", trouble=self.trouble)
        self._thread.shutdown(wait=not self.trouble, cancel_futures=True)
        for chain in self._chains.values():
            chain.close()

    async def _write_all(self, loop: asyncio.AbstractEventLoop) -> None:
        trouble, self.trouble = self.trouble, ""
        owed, self._owed = self._owed, []
        try:
            await loop.run_in_executor(self._thread, self._append, COMMANDS, [body for body, _ in owed])
        except OSError as error:
            self._owed = owed + self._owed
            self._fail(error, known=bool(trouble))
        _settle(owed, self.trouble)
        noted, lost = list(self._noted), self._lost
        told = [self._entry("lost", count=lost)] if lost else []
        try:
            await loop.run_in_executor(self._thread, self._append, REFUSALS, [*noted, *told])
        except OSError as error:
            self._fail(error, known=bool(trouble))
        else:
            self._lost -= lost
            for _ in noted:
                self._noted.popleft()
        if trouble and not self.trouble:
            _LOG.warning("audit: written again")

    def _fail(self, error: OSError, *, known: bool = False) -> None:
        if not (known or self.trouble):
            _LOG.error("audit: cannot be written; commands are refused", folder=str(self._folder), error=str(error))
        self.trouble = f"audit: cannot be written ({error}); commands are refused; free the disk"

    def _entry(self, kind: str, **more: object) -> Body:
        utc_s = self._clock.utc_s()
        return {"kind": kind, "utc_s": utc_s, "utc": iso_utc(utc_s), **more}

    # --- in the thread ------------------------------------------------------------------------------------------

    def _append(self, name: str, bodies: list[Body]) -> None:
        """Raises OSError; then none of them is there. The first entry says that the gateway started."""
        opened = [] if name in self._opened else [self._begin(name)]
        if opened or bodies:
            self._chains[name].append([*opened, *bodies])
        self._opened.add(name)

    def _begin(self, name: str) -> Body:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        tail = self._chains[name].open()
        if tail.broken:
            _LOG.error("audit: the chain is broken; a new segment goes on behind it", chain=name, at=tail.broken)
        found = {"cut_bytes": tail.cut_bytes, "broken": tail.broken}
        return self._entry("opened", **{key: value for key, value in found.items() if value})


def _settle(owed: list[Owed], trouble: str) -> None:
    for _, done in owed:
        if not done.done():
            done.set_exception(OSError(trouble)) if trouble else done.set_result(None)
