"""The outside of an SNMP message, without its values: who may have sent it, before anything costly is done.

Source: RFC 1901 (v2c), RFC 3412, 6 and RFC 3414, 2.4 (v3).
"""

from typing import NamedTuple

MESSAGE_MAX = 8192            # bytes; longer messages are no notifications
_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04
INFORM, TRAP, REPORT = 0xA6, 0xA7, 0xA8  # RFC 3416, 3: InformRequest-PDU, SNMPv2-Trap-PDU, Report-PDU


class Header(NamedTuple):
    """What a message says of itself, nothing of it proven. `level`: 1 nothing, 2 authentication, 3 and privacy.

    v2c has `community`; v3 `user` and `engine_id`, which is empty where the sender asks for ours. `pdu` is the PDU's
    tag, 0 where it is encrypted. `unsynchronized`: v3 without boots and time, as senders of informs begin. `proof` is
    where the authentication parameters stand, from and to.
    """

    version: int
    pdu: int
    community: bytes = b""
    user: bytes = b""
    engine_id: bytes = b""
    level: int = 1
    unsynchronized: bool = False
    proof: tuple[int, int] = (0, 0)


class _Item(NamedTuple):
    """One BER item: its tag, and where its content stands in the datagram."""

    tag: int
    start: int
    end: int


def peek(datagram: bytes) -> Header | None:
    """The header of a message of v2c or v3; None for what is neither, or not whole."""
    try:
        message = _expect(datagram, 0, _SEQUENCE)
        if message.end != len(datagram):
            return None
        version = _expect(datagram, message.start, _INTEGER)
        number = datagram[version.start : version.end]
        if number == b"\x01":
            return _peek_v2c(datagram, version.end)
        return _peek_v3(datagram, version.end) if number == b"\x03" else None
    except (IndexError, ValueError):
        return None


def _peek_v2c(data: bytes, at: int) -> Header:
    community = _expect(data, at, _OCTETS)
    return Header(2, data[community.end], community=data[community.start : community.end])


def _peek_v3(data: bytes, at: int) -> Header:
    head = _expect(data, at, _SEQUENCE)
    flags = _expect(data, _item(data, _item(data, head.start).end).end, _OCTETS)
    outer = _expect(data, head.end, _OCTETS)
    engine = _expect(data, _expect(data, outer.start, _SEQUENCE).start, _OCTETS)
    boots = _expect(data, engine.end, _INTEGER)
    time = _expect(data, boots.end, _INTEGER)
    user = _expect(data, time.end, _OCTETS)
    proof = _expect(data, user.end, _OCTETS)
    if engine.end - engine.start not in (0, *range(5, 33)):  # RFC 3411, SnmpEngineID
        raise ValueError
    blank = not (any(data[boots.start : boots.end]) or any(data[time.start : time.end]))
    return Header(3, _pdu(data, outer.end), b"", data[user.start : user.end], data[engine.start : engine.end],
                  1 + (data[flags.start] & 3).bit_count(), blank, (proof.start, proof.end))


def _pdu(data: bytes, at: int) -> int:
    """The tag inside a ScopedPDU in clear."""
    scoped = _item(data, at)
    if scoped.tag != _SEQUENCE:
        return 0
    return data[_item(data, _item(data, scoped.start).end).end]


def _expect(data: bytes, at: int, tag: int) -> _Item:
    found = _item(data, at)
    if found.tag != tag:
        raise ValueError
    return found


def _item(data: bytes, at: int) -> _Item:
    """One BER item of definite length. Raises ValueError, IndexError."""
    tag, size = data[at], data[at + 1]
    start = at + 2
    if size & 0x80:
        octets = size & 0x7F
        if not 1 <= octets <= 4:
            raise ValueError
        size = int.from_bytes(data[start : start + octets], "big")
        start += octets
    if start + size > len(data):
        raise ValueError
    return _Item(tag, start, start + size)
