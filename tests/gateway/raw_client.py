"""Bytes to a gateway and what comes back, over plain text and TLS: what no well-behaved client can send."""

import asyncio
import datetime as dt
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_campus import Control, FakeDoor

from pswd_edge.chain.chain_check import read_entries
from pswd_edge.gateway.server import Gateway

ROADS = ("plain", "tls")


class Raw(NamedTuple):
    """What came back: the statuses of all answers (0: an answer without a status line), and whether it was closed."""

    statuses: tuple[int, ...]
    closed: bool
    text: bytes

    @property
    def code(self) -> str:
        """The first error code."""
        found = re.search(rb'"(?:error_)?code":"([A-Z_]+)"', self.text)
        return found[1].decode() if found else ""


class Target:
    """A gateway under attack."""

    def __init__(self, gateway: Gateway, control: Control, door: FakeDoor, certificate: str, state_dir: Path,
                 token: Callable[[str], str]) -> None:
        self.gateway, self.control, self.door, self.state_dir = gateway, control, door, state_dir
        self._token = token
        self.context = ssl.create_default_context(cafile=certificate)

    @property
    def counts(self) -> Mapping[str, int]:
        return self.gateway.guard.audit.counts

    def token(self, role: str = "infrastructure_manager") -> str:
        return self._token(role)

    def head(self, method: str, path: str, role: str = "infrastructure_manager", **headers: str) -> bytes:
        """A request's head with a good token; `Content_Type` becomes Content-Type."""
        lines = [f"{method} {path} HTTP/1.1", "Host: a", f"Authorization: Bearer {self.token(role)}",
                 *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    async def open(self, road: str = "plain") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = self.gateway.listening[ROADS.index(road)].port
        if road == "plain":
            return await asyncio.open_connection("127.0.0.1", port)
        return await asyncio.open_connection("127.0.0.1", port, ssl=self.context, server_hostname="localhost")

    async def send(self, request: bytes, road: str = "plain", quiet_s: float = 0.08) -> Raw:
        """Send, and read until the gateway closes or says no more."""
        reader, writer = await self.open(road)
        writer.write(request)
        text, closed = b"", True
        try:
            while piece := await asyncio.wait_for(reader.read(65536), quiet_s if text else 5.0):
                text += piece
        except TimeoutError:
            closed = False
        except (ConnectionError, ssl.SSLError):
            pass
        writer.transport.abort()
        found = tuple(int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", text))
        return Raw(found or ((0,) if text else ()), closed, text)

    async def send_all(self, requests: Mapping[str, bytes]) -> dict[str, Raw]:
        """Each over each road, at once; both roads must say the same."""
        names = [(name, road) for name in requests for road in ROADS]
        found = dict(zip(names, await asyncio.gather(*(self.send(requests[name], road) for name, road in names)),
                         strict=True))
        differ = [name for name in requests if found[name, "plain"][:2] != found[name, "tls"][:2]]
        assert differ == []
        return {name: found[name, "plain"] for name in requests}

    async def audited(self, chain: str = "refusals") -> list[dict]:
        """Entries of the audit, when what waits is written."""
        self.gateway.guard.audit.flush()
        file = self.gateway.guard.audit._file
        for _ in range(100):
            if not file._noted and not file._owed:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        return list(read_entries(self.state_dir / "audit" / chain))


def posted(path: str, body: object, *lines: str) -> bytes:
    """A POST with a JSON body and further header lines."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    head = [f"POST {path} HTTP/1.1", "Host: a", "Content-Type: application/json", f"Content-Length: {len(content)}",
            *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


def make_certificate(folder: Path) -> tuple[str, str]:
    """A self-signed one for localhost: paths of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256()))
    (folder / "raw-cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "raw-key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(folder / "raw-cert.pem"), str(folder / "raw-key.pem")
