"""Everything that a client of the simulated site needs, in one file: addresses, users, a key, certificates."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pswd_edge.clock import SystemClock
from pswd_edge.commands.cert_authority import CertAuthority
from pswd_edge.gateway.clients import ClientTable
from pswd_edge.gateway.keys import KeyStore
from pswd_edge.gateway.roles import DCPI_SCOPES, KEY_SCOPES, Role
from pswd_edge.model.site import Listener, Site
from simulators.broker import Broker

CLIENT_ID = "workload-scheduler-01"
_CN = "workload-scheduler-01.example.com"
_PATHS = {"pswd": "/v1", "edge": "/edge", "dcpi": "/dcpi/api/v1"}
_DAYS = 90.0                  # under 30 the health of the gateway would warn


def write_text(path: Path, text: str) -> None:
    """A file that this user alone can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def write_access(folder: Path, site: Site, users: Sequence[dict[str, str]], broker: Broker) -> None:
    """Make an API key and, where a listener serves DCPI, certificates; write all that into `access.json` (0600)."""
    state_dir = Path(site.state_dir)
    _, key = KeyStore(state_dir, SystemClock()).create("demo", Role.INFRASTRUCTURE_MANAGER, tuple(KEY_SCOPES), _DAYS)
    protocols = {d.id: site.connections[d.connection].driver for d in site.devices}
    access: dict[str, Any] = {
        "facility_id": site.facility_id, "site_id": site.id,
        "profiles": {name: f"{_base(listener)}{_PATHS[name]}" for listener in site.listeners
                     for name in listener.profiles if name in _PATHS},
        "users": users, "api_key": key,
        "mqtt": {"host": "127.0.0.1", "port": broker.port, "username": broker.username, "password": broker.password},
        "devices": [{"device_id": d.id, "kind": d.kind, "protocol": protocols[d.id]} for d in site.devices]}
    if any("dcpi" in listener.profiles for listener in site.listeners):
        access["tls"] = _certificates(folder / "tls", state_dir)
    write_text(folder / "access.json", json.dumps(access, indent=1))


def _certificates(folder: Path, state_dir: Path) -> dict[str, str]:
    """An authority of this demo alone, with a certificate for the listener and one for a scheduler with every scope."""
    authority = CertAuthority.make(folder, "pswd-edge demo authority")
    authority.server(["localhost", "127.0.0.1"], _DAYS)
    ClientTable(state_dir).bind(CLIENT_ID, _CN, tuple(DCPI_SCOPES))
    issued = folder / authority.client(CLIENT_ID, _CN, _DAYS).file
    return {"ca": str(folder / "ca.pem"), "certificate": str(issued),
            "key": str(issued.with_name(f"{issued.stem}-key.pem")), "client_id": CLIENT_ID}


def _base(listener: Listener) -> str:
    scheme = "https" if listener.tls_certificate else "http"
    return f"{scheme}://{listener.host}:{listener.port}"
