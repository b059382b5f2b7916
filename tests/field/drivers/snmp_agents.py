"""SNMP agents for the tests: net-snmp's snmpd with a configuration of its own, and one that misbehaves to order."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto.api import v2c

SNMPD = shutil.which("snmpd", path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""
USER, AUTH_SECRET, PRIV_SECRET, COMMUNITY = "pswd", "auth-secret-1", "priv-secret-1", "facility"

TREE = "1.3.6.1.4.1.8072.9999.1"
NUMBER, TEXT, DECIMAL, COMMAND, LOCKED = (f"{TREE}.{i}.0" for i in range(1, 6))
COLUMN = f"{TREE}.50.1.3"       # rows 1 to 90 but 7: the row's own number
UP_TIME = "1.3.6.1.2.1.1.3.0"

# our words and net-snmp's
AUTH = {"sha": "SHA", "sha224": "SHA-224", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
PRIV = {"aes128": "AES", "aes192": "AES192", "aes256": "AES256"}
PAIRS = [(auth, priv) for auth in AUTH for priv in PRIV]

_CONFIGURATION = f"""
agentaddress udp:127.0.0.1:{{port}}
rwcommunity {COMMUNITY} 127.0.0.1
createUser {USER} SHA-256 "{AUTH_SECRET}" AES "{PRIV_SECRET}"
createUser strong SHA-512 "{AUTH_SECRET}" AES256 "{PRIV_SECRET}"
createUser looker SHA "{AUTH_SECRET}"
rwuser {USER} authpriv
rwuser strong authpriv
{{pairs}}
rouser looker authnopriv
override {NUMBER} integer 42
override {TEXT} octet_str "normal"
override {DECIMAL} octet_str "21.5"
override -rw {COMMAND} integer 0
override {LOCKED} integer 1
""" + "".join(f"override {COLUMN}.{row} integer {row}\n" for row in range(1, 91) if row != 7)


def _pairs() -> str:
    """A user of each pair of protocols, named by it."""
    return "\n".join(
        f'createUser {auth}-{priv} {AUTH[auth]} "{AUTH_SECRET}" {PRIV[priv]} "{PRIV_SECRET}"\n'
        f"rwuser {auth}-{priv} authpriv" for auth, priv in PAIRS)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Snmpd:
    """A running snmpd on loopback; `stop` and `start` keep its port, its engine id and its boot count."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self._folder = folder
        self.port = free_udp_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "snmpd.conf").write_text(_CONFIGURATION.format(port=self.port, pairs=_pairs()) + more)

    def start(self) -> None:
        state = str(self._folder / "state")
        own = {"MIBS": "", "SNMPCONFPATH": f"{self._folder}:{state}", "SNMP_PERSISTENT_DIR": state}
        command = [SNMPD, "-f", "-Lf", str(self._folder / "log"), "-I", "-smux", "-p", str(self._folder / "pid")]
        self._process = subprocess.Popen(command, env={**os.environ, **own})
        self._await_answer()

    def forget(self) -> None:
        """Lose engine id and boot count, as a replaced card does."""
        shutil.rmtree(self._folder / "state")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=5)
            self._process = None

    def _await_answer(self) -> None:
        try:
            await_udp_port(self.port, 10.0)
        except TimeoutError:
            raise TimeoutError((self._folder / "log").read_text()) from None


def await_udp_port(port: int, seconds: float) -> None:
    """Wait until another process has bound this port of 127.0.0.1."""
    bound = f"0100007F:{port:04X}"
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rows = Path("/proc/net/udp").read_text().splitlines()[1:]
        if any(row.split()[1] == bound for row in rows):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens on UDP port {port}")


class OddAgent(asyncio.DatagramProtocol):
    """A v2c agent that answers as it is told: late, with an error status, with rubbish, or never.

    `most` objects fit into an answer, else it is tooBig; `sick` objects make it genErr; `absent` ones it does not have.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.text: bytes | None = None
        self.most = 1000
        self.sick: set[str] = set()
        self.absent: set[str] = set()
        self.number = 1
        self.delay_s: float | None = 0.0
        self.status = 0
        self.rubbish: bytes | None = None
        self._transport: Any = None

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])

    async def start(self) -> "OddAgent":
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        return self

    def stop(self) -> None:
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.asked += 1
        if self.delay_s is not None:
            answer = self.rubbish if self.rubbish is not None else self._answer(data)
            asyncio.get_running_loop().call_later(self.delay_s, self._send, answer, address)

    def _send(self, answer: bytes, address: Any) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(answer, address)

    def _answer(self, data: bytes) -> bytes:
        message, _ = decoder.decode(data, asn1Spec=v2c.Message())
        asked = v2c.apiMessage.get_pdu(message)
        pdu = v2c.GetResponsePDU()
        v2c.apiPDU.set_defaults(pdu)
        v2c.apiPDU.set_request_id(pdu, v2c.apiPDU.get_request_id(asked))
        oids = [str(oid) for oid, _ in v2c.apiPDU.get_varbinds(asked)]
        status = self.status or (len(oids) > self.most) or 5 * bool(self.sick & set(oids))
        v2c.apiPDU.set_error_status(pdu, status)
        pairs = [(v2c.ObjectIdentifier(oid), self._content(oid, status)) for oid in oids]
        if status == 1:  # RFC 3416, 4.2.1: without variable bindings
            pairs = []
        v2c.apiPDU.set_varbinds(pdu, pairs)
        v2c.apiMessage.set_pdu(message, pdu)
        return encoder.encode(message)

    def _content(self, oid: str, status: int) -> Any:
        if status:
            return v2c.Null("")  # RFC 3416, 4.2.1: echoed with an error
        if self.text is not None:
            return v2c.OctetString(self.text)
        return v2c.NoSuchInstance("") if oid in self.absent else v2c.Integer32(self.number)
