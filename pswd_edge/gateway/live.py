"""The process image as the event loop likes it: decoded once a cycle, never older than it says."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from pswd_edge.clock import Clock, SystemClock
from pswd_edge.errors import ImageError, TornReadError
from pswd_edge.image import ImageReader
from pswd_edge.image.notify import RowListener
from pswd_edge.image.writer import POINTER
from pswd_edge.model.quality import Quality
from pswd_edge.model.report import Report
from pswd_edge.model.site import Site

BEAT_MAX_AGE_S = 1.0
PUBLISH_SLACK_S = 1.0     # on top of three periods: reading, deciding and publishing take part of a cycle or two
_LOG = structlog.get_logger("pswd_edge.gateway")
_T = TypeVar("_T")


class _Latest(NamedTuple):
    """Values (NaN where BAD) and receive times (monotonic) of all points, taken at one beat."""

    beat_s: float
    value: NDArray[np.float64]
    received_s: NDArray[np.float64]


class LiveImage:
    """Values and control's report for the services. Open readers are replaced, never changed: threads keep theirs."""

    def __init__(self, runtime_dir: Path, clock: Clock | None = None) -> None:
        """Open the newest generation; raises ImageError where there is none."""
        self._runtime_dir = runtime_dir
        self._clock = clock or SystemClock()
        self._file = _file_of(runtime_dir)
        self.reader = ImageReader(runtime_dir)
        self._latest: _Latest | None = None
        self._report: tuple[float, Report | None] = (-1.0, None)
        self._listener: RowListener | None = None
        self._rung = asyncio.Event()
        self._lost = False

    @property
    def site(self) -> Site:
        """The compiled site of the open generation."""
        return self.reader.site

    @property
    def alive(self) -> bool:
        """True where control completed a cycle within the last second."""
        beat_s = self.reader.beat_s      # before the clock: a beat that comes between the two would be one to come
        return 0.0 <= self._clock.monotonic_s() - beat_s < BEAT_MAX_AGE_S

    def follow(self) -> bool:
        """Open the newest generation where it is not the open one; True where it did.

        A generation that cannot be opened yet leaves the old one, whose beat then says that control is not alive.
        """
        found = _file_of(self._runtime_dir)
        if found is None or found == self._file:
            return False
        try:
            reader = ImageReader(self._runtime_dir)
        except ImageError as error:
            if not self._lost:
                _LOG.warning("image: the new generation cannot be opened; the old one stays", error=str(error))
            self._lost = True
            return False
        self.reader, self._file, self._lost = reader, found, False
        self._latest, self._report = None, (-1.0, None)
        _LOG.info("image: new generation", generation=reader.generation, site_hash=reader.site_hash)
        return True

    def report(self) -> Report | None:
        """Control's newest report, decoded once a cycle; None where control is not alive or before its first."""
        if not self.alive:
            return None
        beat_s = self.reader.beat_s
        if self._report[0] != beat_s:
            try:
                self._report = (beat_s, self.reader.report())
            except TornReadError:
                _LOG.warning("image: report torn; the previous cycle's is used")
        return self._report[1]

    def value(self, point: int | None) -> float | None:
        """A point's value in its SI unit; None where there is no such point or it is BAD, stale or not published."""
        if point is None or not self.alive:
            return None
        latest = self._read_latest()
        value = float(latest.value[point])
        age_s = self._clock.monotonic_s() - float(latest.received_s[point])
        limit_s = 3 * self.site.points[point].period_ms / 1000 + PUBLISH_SLACK_S
        return value if np.isfinite(value) and age_s <= limit_s else None

    def signal(self, device: str, signal: str) -> float | None:
        """As `value`, by a device's id and one of its signals."""
        return self.value(self.site.find(device, signal))

    def _read_latest(self) -> _Latest:
        beat_s = self.reader.beat_s
        if self._latest is not None and self._latest.beat_s == beat_s:
            return self._latest
        try:
            value, quality, _, received_s, _ = self.reader.latest()
        except TornReadError:
            _LOG.warning("image: values torn; the previous cycle's are used where there are any")
            return self._latest or _nothing(len(self.site.points))
        value[quality == Quality.BAD] = np.nan
        self._latest = _Latest(beat_s, value, received_s)
        return self._latest

    def listen(self, folder: Path) -> None:
        """Be told of new rows through a datagram socket in `folder`; without one `next_row` merely times out."""
        try:
            self._listener = RowListener(folder, f"gateway-{os.getpid()}")
        except OSError as error:
            _LOG.warning("image: no datagrams of new rows; waiting by time instead", folder=str(folder),
                         error=str(error))
            return
        asyncio.get_running_loop().add_reader(self._listener.socket.fileno(), self._on_row)

    def _on_row(self) -> None:
        if self._listener is not None and self._listener.drain() is not None:
            rung, self._rung = self._rung, asyncio.Event()
            rung.set()

    async def next_row(self, timeout_s: float) -> bool:
        """Wait for control to tell of its next row, at most `timeout_s`; True where it did."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._rung.wait()
        except TimeoutError:
            return False

    def close(self) -> None:
        """Stop listening and let go of the image."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.socket.fileno())
            self._listener.close()
            self._listener = None
        self.reader.close()


class PerSite(Generic[_T]):
    """Something computed from the compiled site, once a generation."""

    def __init__(self, live: LiveImage, make: Callable[[Site], _T]) -> None:
        self._live = live
        self._make = make
        self._made: tuple[ImageReader, _T] | None = None

    def get(self) -> tuple[ImageReader, _T]:
        """The open generation's reader and the thing made for its site; the two always belong together."""
        made, reader = self._made, self._live.reader
        if made is None or made[0] is not reader:
            made = self._made = (reader, self._make(reader.site))
        return made


def _nothing(points: int) -> _Latest:
    return _Latest(0.0, np.full(points, np.nan), np.full(points, -np.inf))


def _file_of(runtime_dir: Path) -> tuple[int, int] | None:
    """Device and inode of the newest generation's file; None where there is none."""
    try:
        found = (runtime_dir / POINTER).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
