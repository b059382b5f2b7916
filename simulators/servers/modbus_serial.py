"""Modbus RTU on a serial line that is a pseudo terminal: the client opens it as it opens any serial port."""

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import Mapping
from pathlib import Path

from simulators.faults import Faults
from simulators.servers.face import Face
from simulators.servers.modbus_rtu import RtuLine
from simulators.servers.registers import RegisterSpace


class SerialServer:
    """Units by their id. `device` becomes a link to the terminal's other end, as names in /dev/serial/by-id are.

    While the line is off line the terminal is gone, as if the adapter had been pulled.
    """

    port = 0

    def __init__(
        self, connection_id: str, units: Mapping[int, RegisterSpace], faults: Faults, *, device: Path
    ) -> None:
        self.device = device
        self._units = dict(units)
        self._faults, self._link_faults = faults, faults.of(connection_id)
        self._ends: tuple[int, int] | None = None
        self._spaces = {space.face.device.id: space for space in units.values()}

    async def start(self) -> None:
        """Make the terminal. Raises ValueError where `device` is something else than a link."""
        if self.device.exists() and not self.device.is_symlink():
            raise ValueError(f"{self.device}: is no link: expected nothing there, or a link; not started")
        self._ends = ours, theirs = pty.openpty()    # theirs stays open, or ours would hang up with the client
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self.device.unlink(missing_ok=True)
        self.device.symlink_to(os.ttyname(theirs))
        line = RtuLine(self._units, self._faults, self._write)
        asyncio.get_running_loop().add_reader(ours, self._read, ours, line)

    async def stop(self) -> None:
        """Take the terminal away."""
        if self._ends is not None:
            asyncio.get_running_loop().remove_reader(self._ends[0])
            for end in self._ends:
                os.close(end)
            self._ends = None
            self.device.unlink(missing_ok=True)

    def _read(self, ours: int, line: RtuLine) -> None:
        with contextlib.suppress(BlockingIOError):
            line.receive(os.read(ours, 4096))

    def _write(self, frame: bytes) -> None:
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):    # nobody reads: lost, as on a line
                os.write(self._ends[0], frame)

    async def refresh(self, face: Face) -> None:
        """Put the face's values into its registers."""
        self._spaces[face.device.id].refresh()

    async def follow(self) -> None:
        """Take the terminal away while the line is off line; make a new one afterwards."""
        if self._link_faults.offline and self._ends is not None:
            await self.stop()
        elif not self._link_faults.offline and self._ends is None:
            await self.start()
