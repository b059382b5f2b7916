"""amqtt (MQTT 3.1.1) as a process: `python -m simulators.embedded_broker PORT USERS`, for machines without Mosquitto.

USERS is a file of `name:password`, which this process reads once; it keeps and compares argon2 hashes.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

from amqtt.broker import Broker
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher


def _hash_users(users: Path) -> None:
    """Replace the file's passwords by argon2 hashes, in which form amqtt reads them."""
    hasher, lines = PasswordHash((Argon2Hasher(),)), []
    for line in users.read_text().splitlines():
        name, password = line.split(":", maxsplit=1)
        lines.append(f"{name}:{hasher.hash(password)}\n")
    users.write_text("".join(lines))


def _settings(port: int, users: Path) -> dict[str, Any]:
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(users)}},
    }


async def _serve(port: int, users: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = Broker(_settings(port, users))
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def main() -> None:
    """Serve until SIGTERM."""
    port, users = int(sys.argv[1]), Path(sys.argv[2])
    _hash_users(users)
    asyncio.run(_serve(port, users))


if __name__ == "__main__":
    main()
