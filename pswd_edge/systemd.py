"""What a service tells its manager: READY=1, WATCHDOG=1, STATUS=…, as sd_notify(3) has it."""

import os
import socket


def notify(message: str) -> bool:
    """Send `message` (lines of NAME=value) to $NOTIFY_SOCKET; True where it was taken.

    Never waits and never raises: False where nobody listens, its queue is full, or there is no such socket. A name
    that begins with @ lies in the abstract name space.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as out:
        try:
            out.sendto(message.encode(), address)
        except OSError:
            return False
    return True
