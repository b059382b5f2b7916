"""What the ledger's thread writes beside SQLite: the chain of entries and the record of the grid's power."""

import contextlib
import hashlib
from collections import deque
from pathlib import Path

import structlog

from pswd_edge.chain.chain import Body, Chain
from pswd_edge.clock import iso_utc
from pswd_edge.control.power_record import PowerBlock, PowerRecord, hours

WAITING_MAX = 200             # entries between two writes; the loop never waits for the disk
_BLOCKS_MAX = 30              # five minutes of a disk that hangs
_log = structlog.get_logger("ledger")


class Archive:
    """`note` and `power` belong to the loop, everything else to the thread."""

    def __init__(self, state_dir: Path) -> None:
        self._chain, self._power = Chain(state_dir / "ledger"), PowerRecord(state_dir / "power")
        self._power_dir, self._hour = state_dir / "power", -1
        self._waiting: deque[Body] = deque()
        self._blocks: deque[PowerBlock] = deque(maxlen=_BLOCKS_MAX)
        self._lost = 0            # counted by the loop
        self._lost_told = 0       # counted by the thread
        self._opened = False
        self.trouble = ""

    @property
    def waits(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._waiting or self._blocks)

    def note(self, body: Body) -> None:
        """Write it with the next entries; where too many wait it is counted instead, and the count is written."""
        if len(self._waiting) >= WAITING_MAX:
            self._lost += 1
        else:
            self._waiting.append(body)

    def power(self, block: PowerBlock) -> None:
        """Write a block of the grid's power; where the disk does not take them, the oldest is a gap."""
        self._blocks.append(block)

    # --- in the thread ------------------------------------------------------------------------------------------

    def open(self, utc_s: float) -> None:
        """Find the chain's end and say what was found. Raises OSError."""
        tail = self._chain.open()
        found = {"kind": "opened", "utc_s": utc_s, "utc": iso_utc(utc_s)}
        if tail.cut_bytes:
            found["cut_bytes"] = tail.cut_bytes
            _log.warning("ledger: its end was torn (power cut?); what was not whole was never answered and is cut off",
                         bytes=tail.cut_bytes)
        if tail.broken:
            found["broken"] = tail.broken
            self.trouble = f"the ledger's chain is broken at {tail.broken}; run pswd-edge ledger verify"
            _log.error("ledger: the chain is broken; a new segment goes on behind it", at=tail.broken)
        self._opened = True
        self.write([found])

    def write(self, bodies: list[Body]) -> None:
        """These entries, and before them what waits, with one sync. Raises OSError; what waited then waits on."""
        if not self._opened:
            raise OSError("the ledger's chain could not be opened when control started")
        waiting = [self._waiting[i] for i in range(len(self._waiting))]
        lost = self._lost - self._lost_told
        told = [{**waiting[-1], "kind": "lost", "subject": "ledger", "count": lost, "changes": {}}] \
            if lost and waiting else []
        self._chain.append([*waiting, *told, *bodies])
        for _ in waiting:
            self._waiting.popleft()
        self._lost_told += lost if told else 0

    def flush(self) -> None:
        """Write what waits; trouble is kept for the alarm, and tried again in a second."""
        try:
            self._write_power()
            if self._waiting:
                self.write([])
            if not self.trouble.startswith("the ledger's chain"):
                self.trouble = ""
        except OSError as error:
            if not self.trouble:
                _log.warning("ledger: cannot be written", error=str(error))
            self.trouble = f"decisions cannot be written down ({error}); free the disk"

    def _write_power(self) -> None:
        while self._blocks:
            self._power.append(self._blocks[0])
            hour = int(self._blocks[0].utc_s // 3600)
            self._blocks.popleft()
            if hour != self._hour:
                self._seal(hour)
                self._hour = hour

    def _seal(self, present: int) -> None:
        """The hour that has ended goes into the chain with its hash, so that it cannot be changed unseen."""
        ended = [(hour, path) for hour, path in hours(self._power_dir) if hour < present]
        if ended and self._opened:
            path = ended[-1][1]
            utc_s = present * 3600.0
            self._chain.append([{"kind": "power", "subject": "power", "utc_s": utc_s, "utc": iso_utc(utc_s),
                                 "file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}])

    def close(self) -> None:
        """Write the rest and let go."""
        if self._opened:
            with contextlib.suppress(OSError):
                self.flush()
        self._chain.close()
