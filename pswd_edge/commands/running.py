"""Whether control runs here, which devices it has, and how a tool asks it."""

import argparse
import getpass
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pswd_edge.door import OPERATOR_SOCKET, DoorClient
from pswd_edge.errors import ImageError, PswdError
from pswd_edge.image import ImageReader
from pswd_edge.model.device import Connection
from pswd_edge.model.site import Site

_PORTS = {"modbus": 502, "opcua": 4840, "snmp": 161}
_TLS_PORT = 802               # Modbus/TCP Security
_CONNECT_S = 1.0


class Endpoint(NamedTuple):
    """Where a connection goes: an address, or a serial line with port 0."""

    host: str
    port: int


def add_runtime_dir(parser: argparse.ArgumentParser) -> None:
    """The folder of a running site."""
    parser.add_argument("--runtime-dir", type=Path, default=Path(os.environ.get("PSWD_RUNTIME_DIR", "/run/pswd-edge")),
                        help="folder of a running site's image and door")


def control_runs(runtime_dir: Path) -> bool:
    """Whether a control process listens there. A socket that a dead process left behind refuses the connection."""
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(_CONNECT_S)
        try:
            knock.connect(str(runtime_dir / OPERATOR_SOCKET))
        except PermissionError:
            return True
        except TimeoutError:  # its queue is full: it lives
            return True
        except OSError:
            return False
    return True


def open_image(runtime_dir: Path) -> ImageReader:
    """The running site's image. Raises ImageError with what to do where no control runs."""
    if not control_runs(runtime_dir):
        raise ImageError(f"{runtime_dir}: no control process answers there; start it, or give --site FILE to open the "
                         "devices from here, or --runtime-dir where control runs elsewhere")
    return ImageReader(runtime_dir)


def operator(runtime_dir: Path) -> DoorClient:
    """A client of the operator's socket."""
    return DoorClient(runtime_dir / OPERATOR_SOCKET)


def envelope() -> dict[str, Any]:
    """What every request of an operator on this machine carries."""
    return {"id": f"operator-{uuid.uuid4()}", "origin": f"operator:{getpass.getuser()}", "role": "operator",
            "issued_utc_s": time.time()}


def endpoint_of(connection: Connection) -> Endpoint:
    """Where a connection goes."""
    settings = connection.settings
    line = next((v for v in settings.values() if isinstance(v, str) and v.startswith("/dev/")), None)
    if line is not None:
        return Endpoint(line, 0)
    if "url" in settings:
        url = urlsplit(str(settings["url"]))
        return Endpoint(url.hostname or "", url.port or _PORTS["opcua"])
    usual = _TLS_PORT if settings.get("transport") == "tls" else _PORTS.get(connection.driver, 0)
    return Endpoint(str(settings.get("host", "")), int(settings.get("port") or usual))


def addresses(host: str) -> set[str]:
    """Every address of a name, and the name itself; a serial line has its path only."""
    try:
        return {host, *(str(found[4][0]) for found in socket.getaddrinfo(host, None))} if host else set()
    except OSError:
        return {host}


def owned(runtime_dir: Path) -> set[Endpoint]:
    """The endpoints that a running control has a session with; empty where none runs."""
    if not control_runs(runtime_dir):
        return set()
    with ImageReader(runtime_dir) as image:
        found = [endpoint_of(c) for c in image.site.connections]
    return {Endpoint(address, e.port) for e in found for address in addresses(e.host)}


def refuse_second_session(wanted: set[Endpoint], *runtime_dirs: Path) -> None:
    """Raises PswdError where a running control has one of these: a device may have one session only."""
    for runtime_dir in dict.fromkeys(runtime_dirs):
        for host, port in sorted(wanted & owned(runtime_dir)):
            where = f"{host}:{port}" if port else host
            raise PswdError(f"{where}: a running control ({runtime_dir}) has a session with it, and a second one might "
                            f"throw it out; ask through it instead: leave --site out, with --runtime-dir {runtime_dir}")


def refuse_while_running(site: Site, runtime_dir: Path, instead: str = "") -> None:
    """A tool that opens a site's devices itself must not while control does. Raises PswdError, with what to do."""
    own = Path(site.runtime_dir)
    if control_runs(own):
        raise PswdError(f"{own}: control of this site runs, and each device has one session; "
                        + (instead or f"ask through it: leave --site out, with --runtime-dir {own}"))
    wanted = {Endpoint(a, e.port) for e in map(endpoint_of, site.connections) for a in addresses(e.host)}
    refuse_second_session(wanted, runtime_dir)
