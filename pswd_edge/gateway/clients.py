"""The table that binds a certificate's name to a DCPI client and to what it may ask for."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pswd_edge.errors import ConfigError
from pswd_edge.gateway.peer import Peer
from pswd_edge.gateway.private_table import PrivateTable
from pswd_edge.gateway.roles import DCPI_SCOPES

FILE = "clients.json"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CN_MAX = 64           # RFC 5280, ub-common-name


class Client(msgspec.Struct, frozen=True):
    """One client. With `fingerprints` (SHA-256, hexadecimal) only these certificates of its CN are taken."""

    cn: str
    scopes: tuple[str, ...]
    fingerprints: tuple[str, ...] = ()
    disabled: bool = False


class _Stored(msgspec.Struct, frozen=True):
    clients: dict[str, Client] = {}
    revoked_serials: tuple[str, ...] = ()
    version: int = 1


class ClientTable:
    """The clients of one state folder; a change of the file is seen by the next call."""

    def __init__(self, state_dir: Path) -> None:
        """Read the file where there is one; raises SecretError where it is damaged or open to others."""
        self._table = PrivateTable(state_dir / FILE, _Stored, _Stored())

    def all(self) -> dict[str, Client]:
        """Client id to client."""
        return dict(sorted(self._table.read().clients.items()))

    @property
    def revoked_serials(self) -> tuple[str, ...]:
        """Certificates that are worth nothing any more."""
        return self._table.read().revoked_serials

    def client_of(self, peer: Peer) -> tuple[str, Client] | None:
        """Id and client that this certificate stands for now; None where it stands for none, or not any more."""
        stored = self._table.read()
        if peer.serial in stored.revoked_serials:
            return None
        for client_id, client in stored.clients.items():
            if client.cn == peer.cn:
                pinned = not client.fingerprints or peer.fingerprint in client.fingerprints
                return (client_id, client) if pinned and not client.disabled else None
        return None

    def bind(self, client_id: str, cn: str, scopes: Sequence[str], fingerprints: Sequence[str] = ()) -> None:
        """Bind this CN to this client, in place of what was bound to either id before. On disk when it returns.

        Raises:
            ConfigError: id, CN or scopes are not acceptable, or the CN is another client's; every mistake is listed.
        """
        pins = tuple(pin.replace(":", "").lower() for pin in fingerprints)
        _check(client_id, cn, scopes, pins)

        def bound(stored: _Stored) -> _Stored:
            others = [known for known, c in stored.clients.items() if c.cn == cn and known != client_id]
            if others:
                raise ConfigError([f"cn: got {cn!r}: expected one that is not bound to {others[0]} already"])
            client = Client(cn, tuple(dict.fromkeys(scopes)), pins)
            return msgspec.structs.replace(stored, clients={**stored.clients, client_id: client})

        self._table.change(bound)

    def set_disabled(self, client_id: str, *, disabled: bool) -> None:
        """Keep the client out, or let it in again. Raises ConfigError where there is none of this id."""
        def replaced(stored: _Stored) -> _Stored:
            if client_id not in stored.clients:
                known = ", ".join(sorted(stored.clients)) or "none"
                raise ConfigError([f"client: got {client_id!r}: expected one of {known}"])
            client = msgspec.structs.replace(stored.clients[client_id], disabled=disabled)
            return msgspec.structs.replace(stored, clients={**stored.clients, client_id: client})

        self._table.change(replaced)

    def revoke_serials(self, serials: Sequence[str]) -> None:
        """These certificates are refused from the next request on."""
        found = tuple(serial.lower().lstrip("0") for serial in serials)
        self._table.change(lambda stored: msgspec.structs.replace(
            stored, revoked_serials=tuple(dict.fromkeys((*stored.revoked_serials, *found)))))


def _check(client_id: str, cn: str, scopes: Sequence[str], pins: Sequence[str]) -> None:
    problems = []
    if not _ID.fullmatch(client_id):
        problems.append(f"client id: got {client_id!r}: expected 1 to 64 of letters, digits and . _ -")
    if not 0 < len(cn) <= _CN_MAX or not cn.isprintable():
        problems.append(f"cn: got {cn!r}: expected 1 to {_CN_MAX} printable characters")
    if not scopes:
        problems.append(f"scopes: got none: expected at least one of {', '.join(DCPI_SCOPES)}")
    problems += [f"scope: got {s!r}: expected one of {', '.join(DCPI_SCOPES)}" for s in scopes if s not in DCPI_SCOPES]
    problems += [f"fingerprint: got {pin!r}: expected 64 hexadecimal digits (SHA-256)" for pin in pins
                 if not re.fullmatch(r"[0-9a-f]{64}", pin)]
    if problems:
        raise ConfigError(problems)
