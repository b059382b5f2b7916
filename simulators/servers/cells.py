"""One point in the registers of a Modbus unit: its image there, and what a client's write to it means."""

import math
from typing import Protocol

from pswd_edge.model.point import ModbusAddress, Point
from simulators.servers.coding import FORMS, Coder, marker_image


class Cell(Protocol):
    """`width` registers (or one coil) from `register` on."""

    point: Point
    register: int
    width: int

    def show(self, value: float) -> None:
        """Put the image of an SI value; NaN: not available."""
        ...

    def show_bad(self, *, nan: bool) -> None:
        """Put NaN where the type has it and `nan`, else the marker."""
        ...

    def take(self, image: bytes) -> float:
        """The SI value that a client's words mean; ValueError where they mean none. Nothing is stored."""
        ...

    def keep(self, image: bytes) -> None:
        """Store a client's words."""
        ...


class NumberCell:
    """An integer or float of one to four words."""

    def __init__(self, point: Point, address: ModbusAddress, kind: str, words: bytearray, exponent: int) -> None:
        self.point = point
        self.register = address.register
        self._form = form = FORMS[address.type]
        self.width = form.pack.size // 2
        self.swapped = False    # the fault word_order
        self._words = words
        self._at = 2 * address.register
        self._end = self._at + form.pack.size
        self._coder = Coder(point, kind, exponent)
        self._little_words = address.word_order == "little"
        self._little_bytes = address.byte_order == "little"
        self._marker = marker_image(point, form)
        self._low, self._high = form.low, form.high
        if point.invalid:
            (marker,) = form.pack.unpack(self._marker)
            self._low += form.step * (marker == form.low)
            self._high -= form.step * (marker == form.high)

    def show(self, value: float) -> None:
        """Put the image of an SI value; what does not fit saturates short of the marker."""
        if math.isnan(value):
            self._put(self._marker)
            return
        raw = min(self._high, max(self._low, self._coder.raw(value)))
        self._put(self._form.pack.pack(round(raw) if self._form.integer else raw))

    def show_bad(self, *, nan: bool) -> None:
        """Put NaN or the marker."""
        self._put(self._marker if self._form.integer or not nan else self._form.pack.pack(math.nan))

    def take(self, image: bytes) -> float:
        """The SI value of words as received."""
        (raw,) = self._form.pack.unpack(self._ordered(image))
        return self._coder.value(raw)

    def keep(self, image: bytes) -> None:
        """Store words as received."""
        self._words[self._at : self._end] = image

    def swap(self, *, swapped: bool) -> None:
        """Begin or end the fault word_order; what is shown follows with the next value."""
        self.swapped = swapped

    def _put(self, image: bytes) -> None:
        if self._little_words or self._little_bytes or self.swapped:
            image = self._ordered(image)
        self._words[self._at : self._end] = image

    def _ordered(self, image: bytes) -> bytes:
        """Big-endian to the point's order, and the same back: both swaps are their own inverse."""
        words = [image[i : i + 2] for i in range(0, len(image), 2)]
        if self._little_words is not self.swapped:
            words.reverse()
        if self._little_bytes:
            words = [word[::-1] for word in words]
        return b"".join(words)


class FieldCell(NumberCell):
    """Some bits of an unsigned integer; others may hold its other bits. Without a marker NaN shows as 0."""

    def __init__(self, point: Point, address: ModbusAddress, kind: str, words: bytearray, exponent: int) -> None:
        assert address.bits is not None, "other points have a NumberCell"
        self._shift = address.bits[0]
        self._mask = (1 << address.bits[1] - address.bits[0] + 1) - 1
        super().__init__(point, address, kind, words, exponent)
        self._marker_raw = int(point.invalid[0]) if point.invalid else 0

    def show(self, value: float) -> None:
        """Put the field of an SI value; what does not fit saturates short of the marker."""
        if math.isnan(value):
            self._put_field(self._marker_raw)
            return
        top = self._mask - (bool(self.point.invalid) and self._marker_raw == self._mask)
        self._put_field(min(top, max(0, round(self._coder.raw(value)))))

    def show_bad(self, *, nan: bool) -> None:  # noqa: ARG002 - a bit field has one way to be bad
        """Put the marker."""
        self._put_field(self._marker_raw)

    def take(self, image: bytes) -> float:
        """The field's meaning in whole words as received."""
        return self._coder.value(float(int.from_bytes(self._ordered(image), "big") >> self._shift & self._mask))

    def keep(self, image: bytes) -> None:
        """Store this field of whole words as received."""
        self._put_field(int.from_bytes(self._ordered(image), "big") >> self._shift & self._mask)

    def swap(self, *, swapped: bool) -> None:
        """Clear the field where it stands: the next value comes to another place."""
        self._put_field(0)
        super().swap(swapped=swapped)

    def _put_field(self, field: int) -> None:
        word = int.from_bytes(self._ordered(bytes(self._words[self._at : self._end])), "big")
        word = word & ~(self._mask << self._shift) | field << self._shift
        self._put(word.to_bytes(self._end - self._at, "big"))


class TextCell:
    """A text: the device's name and the point's, whatever the plant says. Not written by clients."""

    def __init__(self, point: Point, address: ModbusAddress, device: str, words: bytearray) -> None:
        self.point = point
        self.register = address.register
        self.width = address.length
        self._words = words
        size = 2 * address.length
        image = f"{device} {point.signal}".encode("ascii", "replace")[:size].ljust(size, b"\0")
        words_ = [image[i : i + 2][:: -1 if address.byte_order == "little" else 1] for i in range(0, size, 2)]
        self._image = b"".join(reversed(words_) if address.word_order == "little" else words_)

    def show(self, value: float) -> None:  # noqa: ARG002 - a text is no number
        """Put the text."""
        self._words[2 * self.register : 2 * (self.register + self.width)] = self._image

    def show_bad(self, *, nan: bool) -> None:  # noqa: ARG002 - a text has one way to be bad
        """Put an empty text."""
        self._words[2 * self.register : 2 * (self.register + self.width)] = bytes(2 * self.width)

    def take(self, image: bytes) -> float:
        """Never asked: no text has a write rule."""
        raise NotImplementedError

    def keep(self, image: bytes) -> None:
        """Never asked: no text has a write rule."""
        raise NotImplementedError


class BitCell:
    """One bit of a register; others may hold the register's other bits. NaN and markers show as 0."""

    width = 1

    def __init__(self, point: Point, address: ModbusAddress, kind: str, words: bytearray) -> None:
        self.point = point
        self.register = address.register
        # bit 0 is the lowest of the low byte, the second one on the wire
        self._at = 2 * address.register + (address.bit < 8)
        self._mask = 1 << address.bit % 8
        self._shift = address.bit
        self._words = words
        self._coder = Coder(point, kind)

    def show(self, value: float) -> None:
        """Set or clear the bit."""
        if not math.isnan(value) and round(self._coder.raw(value)):
            self._words[self._at] |= self._mask
        else:
            self._words[self._at] &= ~self._mask

    def show_bad(self, *, nan: bool) -> None:  # noqa: ARG002 - a bit has one way to be bad
        """Clear the bit."""
        self._words[self._at] &= ~self._mask

    def take(self, image: bytes) -> float:
        """The bit's meaning in a whole register as received."""
        return self._coder.value(float(int.from_bytes(image, "big") >> self._shift & 1))

    def keep(self, image: bytes) -> None:
        """Store this bit of a whole register as received."""
        bit = int.from_bytes(image, "big") >> self._shift & 1
        self._words[self._at] = self._words[self._at] & ~self._mask | self._mask * bit


class CoilCell:
    """A coil or discrete input: one byte of memory, 0 or 1."""

    width = 1

    def __init__(self, point: Point, address: ModbusAddress, kind: str, bits: bytearray) -> None:
        self.point = point
        self.register = address.register
        self._bits = bits
        self._coder = Coder(point, kind)

    def show(self, value: float) -> None:
        """Set or clear the coil."""
        self._bits[self.register] = bool(not math.isnan(value) and round(self._coder.raw(value)))

    def show_bad(self, *, nan: bool) -> None:  # noqa: ARG002 - a coil has one way to be bad
        """Clear the coil."""
        self._bits[self.register] = 0

    def take(self, image: bytes) -> float:
        """The meaning of one byte, 0 or 1."""
        return self._coder.value(float(image[0]))

    def keep(self, image: bytes) -> None:
        """Store one byte, 0 or 1."""
        self._bits[self.register] = image[0]
