"""OPC UA's binary encoding as far as a driver must walk it: what is no number is stepped over. No I/O.

Positions are indices into one message. Whatever does not fit raises DecodeError, IndexError or struct.error; callers
turn all three into DecodeError. Lengths are checked before anything is looped over: an array that claims 2**31
elements of no size must not hold up the loop (asyncua builds that list).
Source: OPC 10000-6, 5.2.2.
"""

from collections.abc import Callable
from struct import Struct

from pswd_edge.errors import DecodeError

U16 = Struct("<H").unpack_from
I32 = Struct("<i").unpack_from
U32 = Struct("<I").unpack_from
I64 = Struct("<q").unpack_from
NESTED_MAX = 16               # DataValues, Variants and diagnostics within each other
_FIXED = {0: 0, 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}
_NUMBERS = {
    1: Struct("<?"), 2: Struct("<b"), 3: Struct("<B"), 4: Struct("<h"), 5: Struct("<H"), 6: Struct("<i"),
    7: Struct("<I"), 8: Struct("<q"), 9: Struct("<Q"), 10: Struct("<f"), 11: Struct("<d"),
}  # fmt: skip
_NODE_ID_BYTES = {0: 2, 1: 4, 2: 7, 4: 19}


def past_bytes(data: bytes, at: int) -> int:
    """Behind a String or ByteString; length -1 is null."""
    length: int = I32(data, at)[0]
    end = at + 4 + max(length, 0)
    if length < -1 or end > len(data):
        raise DecodeError(f"a text of {length} bytes")
    return end


def past_node_id(data: bytes, at: int) -> int:
    """Behind a NodeId or an ExpandedNodeId."""
    encoding = data[at]
    kind = encoding & 0x3F
    if kind in (3, 5):
        end = past_bytes(data, at + 3)
    elif kind in _NODE_ID_BYTES:
        end = at + _NODE_ID_BYTES[kind]
    else:
        raise DecodeError(f"a node id of kind {kind}")
    if encoding & 0x80:
        end = past_bytes(data, end)
    return end + 4 if encoding & 0x40 else end


def number_of(data: bytes, at: int) -> tuple[int, int]:
    """The identifier of a NodeId in namespace 0, and where it ends; -1 for any other node."""
    end = past_node_id(data, at)
    match data[at]:
        case 0:
            return data[at + 1], end
        case 1 if data[at + 1] == 0:
            return U16(data, at + 2)[0], end
        case 2 if U16(data, at + 1)[0] == 0:
            return U32(data, at + 3)[0], end
    return -1, end


def past_extension(data: bytes, at: int) -> int:
    """Behind an ExtensionObject."""
    end = past_node_id(data, at)
    match data[end]:
        case 0:
            return end + 1
        case 1 | 2:
            return past_bytes(data, end + 1)
    raise DecodeError(f"an extension object of encoding {data[end]}")


def past_diagnostic(data: bytes, at: int, depth: int = 0) -> int:
    """Behind a DiagnosticInfo."""
    if depth > NESTED_MAX:
        raise DecodeError(f"over {NESTED_MAX} values within each other")
    mask = data[at]
    if not mask:
        return at + 1
    end = at + 1 + 4 * (mask & 0x0F).bit_count()
    if mask & 0x10:
        end = past_bytes(data, end)
    if mask & 0x20:
        end += 4
    return past_diagnostic(data, end, depth + 1) if mask & 0x40 else end


def count_of(data: bytes, at: int, least: int) -> int:
    """Elements of an array (null: 0) of which each takes `least` bytes or more (1 or more)."""
    count: int = I32(data, at)[0]
    if count * least > len(data) - at - 4 or count < -1:
        raise DecodeError(f"an array of {count} elements in {len(data) - at - 4} bytes")
    return max(count, 0)


def variant(data: bytes, at: int, depth: int = 0) -> tuple[float | None, int]:
    """The number in a Variant, and where it ends; None for what is no single number. A Boolean is 0 or 1."""
    encoding = data[at]
    kind = encoding & 0x3F
    if not encoding & 0xC0:
        number = _NUMBERS.get(kind)
        if number is not None:
            return float(number.unpack_from(data, at + 1)[0]), at + 1 + number.size
        return None, _past(data, at + 1, kind, depth)
    end = at + 1
    if encoding & 0x80:
        if kind == 0:
            raise DecodeError("an array of nothing")
        size = _FIXED.get(kind)
        count = count_of(data, end, size or 1)
        end += 4
        if size is not None:
            end += count * size
        else:
            for _ in range(count):
                end = _past(data, end, kind, depth)
    else:
        raise DecodeError("array dimensions without an array")
    if encoding & 0x40:
        end += 4 + 4 * count_of(data, end, 4)
    return None, end


def _past(data: bytes, at: int, kind: int, depth: int) -> int:
    """Behind a scalar of a built-in type."""
    if kind in _FIXED:
        return at + _FIXED[kind]
    if depth >= NESTED_MAX:
        raise DecodeError(f"over {NESTED_MAX} values within each other")
    walk = _WALKS.get(kind)
    if walk is None:
        raise DecodeError(f"a value of type {kind}")
    return walk(data, at, depth + 1)


def _past_localized(data: bytes, at: int) -> int:
    mask, end = data[at], at + 1
    if mask & ~0x03:
        raise DecodeError(f"a text with mask {mask}")
    for bit in (0x01, 0x02):
        if mask & bit:
            end = past_bytes(data, end)
    return end


def data_value_parts(data: bytes, at: int, depth: int = 0) -> tuple[float | None, int, int, int]:
    """Number or None, status code, source time stamp (100 ns since 1601; 0: none), and where the DataValue ends."""
    mask, end = data[at], at + 1
    number, status, ticks = None, 0, 0
    if mask & 0xC0:
        raise DecodeError(f"a value with mask {mask}")
    if mask & 0x01:
        number, end = variant(data, end, depth)
    if mask & 0x02:
        status, end = U32(data, end)[0], end + 4
    if mask & 0x04:
        ticks, end = I64(data, end)[0], end + 8
    # The order is the standard's; asyncua has both picoseconds behind both time stamps.
    end += 2 * (mask & 0x10 != 0) + 8 * (mask & 0x08 != 0) + 2 * (mask & 0x20 != 0)
    return number, status, ticks, end


_WALKS: dict[int, Callable[[bytes, int, int], int]] = {
    **dict.fromkeys((12, 15, 16, *range(26, 32)), lambda data, at, _: past_bytes(data, at)),
    **dict.fromkeys((17, 18), lambda data, at, _: past_node_id(data, at)),
    20: lambda data, at, _: past_bytes(data, at + 2),
    21: lambda data, at, _: _past_localized(data, at),
    22: lambda data, at, _: past_extension(data, at),
    23: lambda data, at, depth: data_value_parts(data, at, depth)[3],
    24: lambda data, at, depth: variant(data, at, depth)[1],
    25: past_diagnostic,
}
"""By built-in type; 26 to 31 are reserved and to be taken as ByteStrings."""
