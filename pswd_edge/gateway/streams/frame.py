"""WebSocket frames of a server: unmasked, so the same bytes serve every client (RFC 6455, 5.2)."""

import struct

_FINAL_TEXT, _FINAL_PING = 0x81, 0x89
_LENGTH_16, _LENGTH_64 = 126, 127

PING = bytes((_FINAL_PING, 0))


def text_frame(payload: bytes) -> bytes:
    """One whole text message; `payload` is UTF-8."""
    size = len(payload)
    if size < _LENGTH_16:
        return bytes((_FINAL_TEXT, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _FINAL_TEXT, _LENGTH_16, size) + payload
    return struct.pack("!BBQ", _FINAL_TEXT, _LENGTH_64, size) + payload
