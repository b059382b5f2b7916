"""Records what the rules see, off the loop: the cycle hands over references, a thread packs and writes them.

The recording is a ring of files; each can be replayed by itself. A disk that does not keep up, or is full, costs
cycles of the recording (counted, and an alarm), never a cycle of control.
"""

import threading
import time
from collections import deque
from pathlib import Path

import structlog

from pswd_edge.clock import Clock
from pswd_edge.control.record_file import RecordFile, prune
from pswd_edge.control.record_row import Seen
from pswd_edge.model.command import Accepted, Record, Rejected
from pswd_edge.model.report import RecordingReport
from pswd_edge.model.site import RecordingSpec

BACKLOG_CYCLES = 600          # a minute: beyond that cycles are dropped
_WAIT_S = 0.5                 # between two looks of the thread
_FLUSH_S = 10.0               # what a power cut may cost
_YIELD_S = 0.0005             # between two cycles: the loop must never wait for more than one
_PARTS = 8                    # files that the byte budget is shared by, at least
_log = structlog.get_logger("recorder")


class Recorder:
    """`begins`, `note` and `report` are the loop's; they neither wait nor touch the disk."""

    def __init__(self, folder: Path, spec: RecordingSpec, clock: Clock) -> None:
        self._folder, self._spec, self._clock = folder, spec, clock
        self._backlog: deque[Seen] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._until_s: float | None = None
        self._left = 0                # cycles of the present file
        self._split = False
        self._file: RecordFile | None = None
        self._done_bytes = self._done_cycles = 0
        self._noted, self._note_s, self._pack_s = 0, 0.0, 0.0
        self._since_utc_s = 0.0
        self.dropped = 0
        self.trouble = ""
        self.on = False

    # --- the loop's side ----------------------------------------------------------------------------------------

    def start(self, seconds: float = 0.0) -> None:
        """Record from the next cycle on, for so long; 0: until `stop`. Begins a new file where it is on already."""
        self._until_s = self._clock.monotonic_s() + seconds if seconds > 0 else None
        self._left, self.on, self.trouble, self.dropped = 0, True, "", 0
        self._since_utc_s = self._clock.utc_s()
        self._look_after_thread()

    def _look_after_thread(self) -> None:
        """It may just have ended when it is wanted again."""
        if self.on and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """No more cycles; what was taken is written."""
        self.on = False
        self._wake.set()

    def new_site(self) -> None:
        """The site changed: the next cycle begins a file."""
        self._left = 0

    @property
    def begins(self) -> bool:
        """Whether the next cycle begins a file, and needs what was remembered before it."""
        return self.on and (self._left <= 0 or self._split)

    def note(self, seen: Seen) -> None:
        """One cycle."""
        began_s = time.perf_counter()
        if self._until_s is not None and seen.snapshot.time_s >= self._until_s:
            self.stop()
            return
        if len(self._backlog) >= BACKLOG_CYCLES:
            self.dropped, self._left = self.dropped + 1, 0  # after a hole a file of its own
            return
        if seen.begin is not None:
            self._left, self._split = round(self._spec.file_s / seen.begin.site.control.period_ms * 1000), False
        elif self._left <= 0:
            return  # it was asked for after this cycle's memory was needed: the next one begins
        self._left -= 1
        self._backlog.append(seen)
        self._noted += 1
        self._note_s += time.perf_counter() - began_s

    def report(self) -> RecordingReport:
        """How it goes. Call it about once a second."""
        self._look_after_thread()
        file, noted = self._file, max(1, self._noted)
        bytes_, cycles = self._done_bytes, self._done_cycles
        if file is not None:
            bytes_, cycles = bytes_ + file.bytes, cycles + file.cycles
        left = None if self._until_s is None else self._until_s - self._clock.monotonic_s()
        until = None if left is None or not self.on else self._clock.utc_s() + left
        return RecordingReport(self.on, str(self._folder), "" if file is None else file.path.name, cycles, bytes_,
                               self.dropped, self._since_utc_s, until, 1e6 * self._note_s / noted,
                               1e6 * self._pack_s / noted, self.trouble)

    def close(self) -> None:
        """Write what waits and end the thread. Blocks."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    # --- the thread's side --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            flushed_s = time.monotonic()
            while self.on or self._backlog:
                while self._backlog:
                    self._take(self._backlog.popleft())
                    time.sleep(_YIELD_S)
                if self._file is not None and time.monotonic() - flushed_s > _FLUSH_S:
                    flushed_s = time.monotonic()
                    self._file.flush()
                self._wake.wait(_WAIT_S)
                self._wake.clear()
            self._end_file()
        except (OSError, ValueError) as error:
            self.on = False
            self._backlog.clear()
            self.trouble = f"the recording has ended: {error}; free the disk and start it again"
            _log.error("the recording has ended", folder=str(self._folder), error=str(error))
            self._file = None

    def _take(self, seen: Seen) -> None:
        began_s = time.thread_time()
        if seen.begin is not None:
            self._end_file()
            utc_s = seen.snapshot.utc_s
            self._file = RecordFile(self._folder, seen.begin, utc_s)
            prune(self._folder, self._most_bytes * (1 - 1 / _PARTS), utc_s - self._spec.hours * 3600, self._file.path)
        assert self._file is not None, "the loop begins with a Begin"
        self._file.add(seen)
        if self._file.bytes > self._most_bytes / _PARTS:
            self._split = True
        self._pack_s += time.thread_time() - began_s

    @property
    def _most_bytes(self) -> float:
        return self._spec.max_mb * 1e6

    def _end_file(self) -> None:
        file = self._file
        if file is not None:
            file.close()
            self._file = None
            self._done_bytes, self._done_cycles = self._done_bytes + file.bytes, self._done_cycles + file.cycles


def order_recording(request: Record, recorder: Recorder, cycle: int) -> Rejected | Accepted:
    """Start or stop as a person says; `cycle` is the present one."""
    if request.action not in ("start", "stop") or request.seconds < 0:
        return Rejected(id=request.id, code="invalid", reason=f"{request.action!r} for {request.seconds:g} s: "
                        "expected start or stop, and 0 s (no end) or more")
    if request.action == "start":
        recorder.start(request.seconds)
    else:
        recorder.stop()
    return Accepted(id=request.id, cycle=cycle + 1)
