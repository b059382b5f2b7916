"""What devices say of themselves: any bytes, until they are made printable."""


def printable(text: bytes) -> str:
    """What a device says of itself, safe to print and to write into a file: ASCII, at most 80 characters."""
    return "".join(chr(b) for b in text if 32 <= b < 127).strip()[:80]
