"""Texts in registers: what is no number of a register answer, decoded where its bytes changed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.drivers.codec import byte_order
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.quality import Quality

TEXT_BYTES_MAX = 64 * 1024    # of all texts in a report, a quarter of its place in the image
_TEXT_HEAD_BYTES = 16         # point and length of one text, at most
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


class TextPlace(NamedTuple):
    """A text point: `request` counts the group's register requests, its bytes are `raw[start:end]`.

    `may_be_empty` is False where the protocol says "not available" by an empty text (SunSpec).
    """

    request: int
    point: int
    start: int
    end: int
    address: ModbusAddress
    may_be_empty: bool


def is_text(point: Point) -> bool:
    """Whether a point is a text, and so never in the numeric arrays."""
    return isinstance(point.address, ModbusAddress) and point.address.type == "string"


def text_places(requests: Sequence[ReadRequest], places: Sequence[int]) -> list[TextPlace]:
    """The text points of register requests; `places[i]` is where the answer of `requests[i]` begins."""
    found = []
    for n, (request, place) in enumerate(zip(requests, places, strict=True)):
        for point in request.points:
            address = point.address
            if isinstance(address, ModbusAddress) and address.type == "string":
                start = place + 2 * (address.register - request.payload.span.start)
                found.append(TextPlace(n, point.index, start, start + 2 * address.length, address,
                                       address.model is None))
    return found


def decode_text(image: bytes, address: ModbusAddress) -> str:
    """The text of its registers' bytes: up to the first NUL, without spaces at its ends.

    What is no printable ASCII becomes the replacement character: a device's name must not write into a log or terminal.
    """
    ordered = bytes(image[b] for b in byte_order(address, len(image)))
    text = ordered.partition(b"\0")[0].decode("ascii", errors="replace").strip(" ")
    return "".join(c if c.isprintable() else _UNKNOWN for c in text)


def reported_texts(texts: Mapping[int, str], quality: NDArray[np.uint8]) -> dict[int, str]:
    """The texts of points that are not BAD, as many as a report has room for."""
    found: dict[int, str] = {}
    room = TEXT_BYTES_MAX
    for point, text in texts.items():
        room -= _TEXT_HEAD_BYTES + len(text.encode())
        if room < 0:
            break
        if quality[point] != Quality.BAD:
            found[point] = text
    return found
