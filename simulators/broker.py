"""A real MQTT broker on loopback with one user: Mosquitto where it is installed, otherwise amqtt in its own process."""

import asyncio
import os
import pwd
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Self

_START_S = 15.0
_STOP_S = 3.0
_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"


def find_mosquitto() -> tuple[str, str] | None:
    """Paths of `mosquitto` and `mosquitto_passwd`, or None where either is missing."""
    broker, passwd = shutil.which("mosquitto", path=_PATH), shutil.which("mosquitto_passwd", path=_PATH)
    return (broker, passwd) if broker and passwd else None


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """An async context manager. `port`, `username` and `password` hold across `stop` and `start`.

    `kind` is "mosquitto" or "amqtt"; `version` the newest MQTT version that it speaks: "5" or "3.1.1".
    `tls` is a certificate and its key (Mosquitto only).
    """

    def __init__(self, port: int | None = None, username: str = "pswd-edge", password: str | None = None,
                 kind: str | None = None, tls: tuple[Path, Path] | None = None) -> None:
        self.port = port or free_port()
        self.username, self.password = username, password or secrets.token_urlsafe(18)
        self._mosquitto = find_mosquitto()
        self.kind = kind or ("mosquitto" if self._mosquitto else "amqtt")
        self.version = "5" if self.kind == "mosquitto" else "3.1.1"
        self._tls = tls
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="pswd-broker-")
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        if self._folder is not None:
            self._folder.cleanup()

    async def start(self) -> None:
        """Start, and return once it accepts connections; raises RuntimeError with its own words where it does not."""
        if self._folder is None:
            raise RuntimeError("broker: start outside its context; use `async with Broker()`")
        folder = Path(self._folder.name)
        command = await self._mosquitto_command(folder) if self.kind == "mosquitto" else self._amqtt_command(folder)
        log = (folder / "broker.log").open("wb")
        try:
            self._process = await asyncio.create_subprocess_exec(
                *_tied_to_us(), *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log)
        finally:
            log.close()
        await self._wait_until_listening(folder / "broker.log")

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after 3 s."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _mosquitto_command(self, folder: Path) -> list[str]:
        if self._mosquitto is None:
            raise RuntimeError("broker: mosquitto or mosquitto_passwd is not installed; install the package mosquitto")
        users, settings = folder / "users", folder / "mosquitto.conf"
        users.touch(0o600)
        users.write_text(f"{self.username}:{self.password}\n")
        # -U hashes the file in place: the password never stands in the list of processes
        hashing = await asyncio.create_subprocess_exec(self._mosquitto[1], "-U", str(users))
        if await hashing.wait() != 0:
            raise RuntimeError(f"broker: {self._mosquitto[1]} -U {users} failed with {hashing.returncode}")
        settings.write_text(_mosquitto_settings(self.port, users, self._tls))
        return [self._mosquitto[0], "-c", str(settings)]

    def _amqtt_command(self, folder: Path) -> list[str]:
        users = folder / "users"
        users.touch(0o600)
        users.write_text(f"{self.username}:{self.password}\n")
        return [sys.executable, "-m", "simulators.embedded_broker", str(self.port), str(users)]

    async def _wait_until_listening(self, log: Path) -> None:
        process = self._process
        for _ in range(int(_START_S / 0.05)):
            if process is None or process.returncode is not None:
                break
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
        await self.stop()
        raise RuntimeError(f"broker {self.kind} on 127.0.0.1:{self.port}: does not listen; it said: {_last_words(log)}")


def _tied_to_us() -> list[str]:
    """The broker ends with us, even where we are killed, if util-linux' setpriv is there to arrange it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-2000:] or "nothing"


def _mosquitto_settings(port: int, users: Path, tls: tuple[Path, Path] | None) -> str:
    lines = [
        f"listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {users}", "set_tcp_nodelay true",
        "persistence false", "log_dest stderr", "log_type error", "log_type warning",
        "max_queued_messages 100000",    # a slow watcher of the demo must not look like a loss of the uplink
        f"user {pwd.getpwuid(os.geteuid()).pw_name}",    # as root it would change to a user that cannot read our files
    ]
    if tls is not None:
        lines += [f"certfile {tls[0]}", f"keyfile {tls[1]}"]
    return "\n".join(lines) + "\n"
