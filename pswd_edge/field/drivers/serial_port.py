"""A serial port as an asyncio transport: pyserial sets it up, the event loop reads and writes it."""

import asyncio
import contextlib
import os
import termios
from pathlib import Path
from typing import Any

import serial

from pswd_edge.errors import UnreachableError
from pswd_edge.field.drivers.modbus_config import ModbusConfig

_CHUNK_BYTES = 4096
_PSEUDO_MAJORS = range(136, 144)    # of simulators: they have no parity bit, and refuse it when opened again
_PARITIES = {"even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD, "none": serial.PARITY_NONE}


def open_port(config: ModbusConfig) -> serial.Serial:
    """Open and set the port for this process alone. May block: call it in a thread. Raises UnreachableError."""
    device = str(config.device)
    try:
        pseudo = os.major(Path(device).stat().st_rdev) in _PSEUDO_MAJORS
        parity = serial.PARITY_NONE if pseudo else _PARITIES[config.parity]
        return serial.Serial(device, config.baud, serial.EIGHTBITS, parity, config.stop_bits, timeout=0, exclusive=True)
    except (OSError, ValueError, termios.error) as error:   # SerialException is an OSError
        raise UnreachableError(f"{device}: {error}") from error


def close_port(port: serial.Serial) -> None:
    """Close without waiting for what is still to be sent: a port whose line hangs would block for 30 s."""
    with contextlib.suppress(OSError, termios.error):   # unplugged
        termios.tcflush(port.fileno(), termios.TCIOFLUSH)
    port.close()


class SerialTransport(asyncio.Transport):
    """Feeds a protocol. Nothing here blocks; a port that does not take its bytes is closed."""

    def __init__(self, port: serial.Serial, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._port, self._protocol = port, protocol
        self._loop = asyncio.get_running_loop()
        self._number: int = port.fileno()
        self._left = b""
        self._closing = False
        os.set_blocking(self._number, False)
        self._loop.add_reader(self._number, self._read)
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - there is none
        """Asyncio: a serial port has no socket."""
        return default

    def is_closing(self) -> bool:
        """Asyncio: closed, or about to be."""
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, as far as the port takes it; the rest follows."""
        if self._closing:
            return
        if self._left:
            self._lose(OSError("the port does not take what is sent"))
            return
        self._left = bytes(data)
        self._push()

    def _push(self) -> None:
        try:
            sent = os.write(self._number, self._left)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        self._left = self._left[sent:]
        if self._left:
            self._loop.add_writer(self._number, self._push)
        else:
            self._loop.remove_writer(self._number)

    def _read(self) -> None:
        try:
            data = os.read(self._number, _CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._lose(None)

    def _lose(self, error: OSError | None) -> None:
        if not self._closing:
            self.abort()
            self._loop.call_soon(self._protocol.connection_lost, error)

    def abort(self) -> None:
        """Close at once."""
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._number)
        self._loop.remove_writer(self._number)
        close_port(self._port)

    def close(self) -> None:
        """As `abort`."""
        self.abort()
