"""The register space of one Modbus unit, laid out from its points and kept in step with its face.

Source: MODBUS Application Protocol V1.1b3, chapters 4 and 7 (exception codes).
"""

from collections.abc import Mapping, Sequence

from pswd_edge.model.point import ModbusAddress, Point, RegisterKind
from simulators.servers.cells import BitCell, Cell, CoilCell, FieldCell, NumberCell, TextCell
from simulators.servers.face import Face
from simulators.servers.ranges import Limit, choose_exponents, usual_limit
from simulators.servers.sunspec import BASE, ChainLink, place, usual_chain

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
_ADDRESSES = 0x10000
_BIT_KINDS = ("coil", "discrete")


class RefusedRequest(Exception):  # noqa: N818 - it becomes an answer, nothing went wrong here
    """The unit answers with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Bank:
    """The memory of one kind of register: two bytes a register, or one a coil; `known` marks what exists."""

    def __init__(self, size: int) -> None:
        self.cell_bytes = bytearray(_ADDRESSES * size)
        self.known = bytearray(_ADDRESSES)


class RegisterSpace:
    """All registers of a unit.

    Args:
        face: what the device shows.
        limit: the largest magnitude of each point, for scale registers.
        reserved_reads_zero: holes inside a request read 0 and only a request without any known address is refused
            with exception 2, like most devices; False: one hole refuses the request.
        chain: the SunSpec models in their order from `base` on; None: model 1 and those of the map, in its order.
    """

    def __init__(
        self, face: Face, limit: Limit = usual_limit, *, reserved_reads_zero: bool = True,
        chain: Sequence[ChainLink] | None = None, base: int = BASE,
    ) -> None:
        self.face = face
        self._strict = not reserved_reads_zero
        self._banks: dict[RegisterKind, Bank] = {}
        self._cells: list[Cell] = []
        self._writable: dict[tuple[RegisterKind, int], list[Cell]] = {}
        self._swapped = False
        placed = place(face.points, usual_chain(face.points) if chain is None else chain, base)
        exponents = choose_exponents(placed.points, limit)
        if placed.chain:
            self._bank("holding").known[placed.chain.start : placed.chain.stop] = b"\1" * len(placed.chain)
        for register, word in placed.words.items():
            self._fix("holding", register, word)
        for point in placed.points:
            # a point that reads a scale register itself finds the fixed word there
            if isinstance(point.address, ModbusAddress) and point.address.register not in exponents:
                self._lay_out(self._cell(point, point.address, exponents), point.address)
                if point.address.scale_register is not None:
                    power = exponents[point.address.scale_register]
                    self._fix(point.address.kind, point.address.scale_register, power & 0xFFFF)
        # a whole register is shown before the bit fields in it, or it would wipe them out
        self._cells.sort(key=lambda cell: isinstance(cell, FieldCell))
        self.refresh()

    def _cell(self, point: Point, address: ModbusAddress, exponents: Mapping[int, int]) -> Cell:
        kind = self.face.device.kind
        memory = self._bank(address.kind).cell_bytes
        if address.kind in _BIT_KINDS:
            return CoilCell(point, address, kind, memory)
        if address.type == "string":
            return TextCell(point, address, self.face.device.id, memory)
        if address.type == "bit":
            return BitCell(point, address, kind, memory)
        exponent = 0 if address.scale_register is None else exponents[address.scale_register]
        form = NumberCell if address.bits is None else FieldCell
        return form(point, address, kind, memory, exponent)

    def _bank(self, kind: RegisterKind) -> Bank:
        if kind not in self._banks:
            self._banks[kind] = Bank(1 if kind in _BIT_KINDS else 2)
        return self._banks[kind]

    def _fix(self, kind: RegisterKind, register: int, word: int) -> None:
        bank = self._bank(kind)
        bank.known[register] = 1
        bank.cell_bytes[2 * register : 2 * register + 2] = word.to_bytes(2, "big")

    def _lay_out(self, cell: Cell, address: ModbusAddress) -> None:
        self._cells.append(cell)
        self._bank(address.kind).known[cell.register : cell.register + cell.width] = b"\1" * cell.width
        if cell.point.write is not None:
            self._writable.setdefault((address.kind, cell.register), []).append(cell)

    # -- the device's side

    def refresh(self) -> None:
        """Put the face's values into the registers."""
        faults, values = self.face.faults, self.face.values
        if faults.word_order is not self._swapped:
            self._swap(swapped=faults.word_order)
        bad = faults.nan or faults.sentinel
        for cell in self._cells:
            point = cell.point
            if bad and point.write is None:
                cell.show_bad(nan=faults.nan)
            elif point.signal in values:
                cell.show(values[point.signal])
            elif point.write is None:
                cell.show(float("nan"))

    def _swap(self, *, swapped: bool) -> None:
        self._swapped = swapped
        for cell in self._cells:
            if isinstance(cell, NumberCell):
                cell.swap(swapped=swapped)

    # -- the client's side

    def read_words(self, kind: RegisterKind, start: int, count: int) -> bytes:
        """`count` registers as they go on the wire; raises RefusedRequest(2) where there are none."""
        return bytes(self._known_bank(kind, start, count).cell_bytes[2 * start : 2 * (start + count)])

    def read_bits(self, kind: RegisterKind, start: int, count: int) -> bytes:
        """`count` coils, a byte 0 or 1 each; raises RefusedRequest(2) where there are none."""
        return bytes(self._known_bank(kind, start, count).cell_bytes[start : start + count])

    def write_words(self, start: int, image: bytes) -> None:
        """Write holding registers, whole points in the order of their addresses.

        Raises RefusedRequest: 2 where one is absent or read-only, 3 where a value is cut in two or the plant
        refuses it. Points before the refused one are written by then, as in many devices.
        """
        end = start + len(image) // 2
        if end > _ADDRESSES:
            raise RefusedRequest(ILLEGAL_ADDRESS)
        at = start
        while at < end:
            cells = self._writable.get(("holding", at))
            if cells is None:
                raise RefusedRequest(ILLEGAL_VALUE if self._inside(at) else ILLEGAL_ADDRESS)
            width = cells[0].width
            if at + width > end:
                raise RefusedRequest(ILLEGAL_VALUE)
            for cell in cells:
                self._write(cell, image[2 * (at - start) : 2 * (at - start + width)])
            at += width

    def write_bits(self, start: int, bits: bytes) -> None:
        """Write coils, a byte 0 or 1 each; raises as `write_words`."""
        for at, bit in enumerate(bits, start):
            cells = self._writable.get(("coil", at))
            if cells is None:
                raise RefusedRequest(ILLEGAL_ADDRESS)
            for cell in cells:
                self._write(cell, bytes((bit,)))

    def _write(self, cell: Cell, image: bytes) -> None:
        try:
            self.face.write(cell.point, cell.take(image))
        except ValueError:
            raise RefusedRequest(ILLEGAL_VALUE) from None
        cell.keep(image)

    def _inside(self, register: int) -> bool:
        """Whether a register is a further word of a writable point."""
        before = ((at, self._writable.get(("holding", at))) for at in range(register - 3, register))
        return any(cells is not None and at + cells[0].width > register for at, cells in before)

    def _known_bank(self, kind: RegisterKind, start: int, count: int) -> Bank:
        bank = self._banks.get(kind)
        end = start + count
        if bank is None or end > _ADDRESSES or bank.known.find(1, start, end) < 0:
            raise RefusedRequest(ILLEGAL_ADDRESS)
        if self._strict and bank.known.find(0, start, end) >= 0:
            raise RefusedRequest(ILLEGAL_ADDRESS)
        return bank
