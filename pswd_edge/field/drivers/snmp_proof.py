"""Whether an answer of SNMP v3 is the agent's own: gufo_snmp 0.13 does not look at its digest.

Source: RFC 3414, 6.3.2 and A.2; RFC 7860, 4.2 (SHA-2).
"""

import hashlib
import hmac
from collections.abc import Callable

from pswd_edge.field.drivers.snmp_config import SnmpConfig
from pswd_edge.field.drivers.snmp_header import REPORT, Header, peek

_DIGESTS = {"sha": ("sha1", 12), "sha224": ("sha224", 16), "sha256": ("sha256", 24), "sha384": ("sha384", 32),
            "sha512": ("sha512", 48)}
_MEGABYTE = 1_048_576         # RFC 3414, A.2.1: so much of the repeated secret is hashed


def master_key(protocol: str, secret: str) -> bytes:
    """RFC 3414, A.2.1. About 3 ms: in a thread, which hashing leaves free."""
    word = secret.encode()
    whole = word * (_MEGABYTE // len(word) + 1) if word else b""
    return hashlib.new(_DIGESTS[protocol][0], whole[:_MEGABYTE]).digest()


class Proof:
    """Of one user. Make it in a thread, as `master_key`."""

    def __init__(self, config: SnmpConfig) -> None:
        self._name, self._size = _DIGESTS[config.auth_protocol]
        self._user = (config.username or "").encode()
        self._level = config.level
        self._master = master_key(config.auth_protocol, config.auth_secret or "")
        self._key, self._key_of = b"", b""

    def of(self, engine_id: Callable[[], bytes]) -> Callable[[bytes], bool]:
        """A check for answers of the engine that has this id when they come."""
        return lambda datagram: self._answer_holds(datagram, engine_id())

    def _answer_holds(self, datagram: bytes, engine_id: bytes) -> bool:
        """A report may come without a proof, as it does while keys and clock are not agreed; it brings no value."""
        header = peek(datagram)
        if header is None or header.version != 3:
            return False
        if header.level < self._level:
            return header.pdu == REPORT
        return self._level == 1 or (header.engine_id == engine_id and self.signed(datagram, header))

    def signed(self, datagram: bytes, header: Header) -> bool:
        """Whether the digest is right for this user, with the engine that the message names."""
        start, end = header.proof
        if header.user != self._user or end - start != self._size:
            return False
        if self._key_of != header.engine_id:
            self._key_of = header.engine_id
            self._key = hashlib.new(self._name, self._master + header.engine_id + self._master).digest()
        blank = datagram[:start] + bytes(self._size) + datagram[end:]
        return hmac.compare_digest(hmac.digest(self._key, blank, self._name)[: self._size], datagram[start:end])
