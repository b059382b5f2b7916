"""Records under a writer that never rests: torn ones are made on purpose, and none may get through."""

import mmap
import multiprocessing
import time
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pswd_edge.errors import TornReadError
from pswd_edge.image.record import Record, record_bytes

CAPACITY = 4096
PART = 256
GAP = 300
READS = 60_000


def payload_of(number: int) -> bytes:
    return number.to_bytes(8, "little") * (CAPACITY // 8)


def whole(found: bytes) -> bool:
    """Every word of the payload is the same: one write made it."""
    return len(found) == CAPACITY and found == found[:8] * (CAPACITY // 8)


def hammer(path: str, stop: multiprocessing.Event) -> None:
    """Fills the payload's end first, so that no reader's copy can run ahead of it unharmed.

    Between two writes it counts for about as long as it writes: without a gap no reader gets anything at all.
    """
    with Path(path).open("r+b") as file:
        record = Record(memoryview(mmap.mmap(file.fileno(), 0)), 0, CAPACITY)
    payloads = [payload_of(n) for n in range(64)]
    number = 1
    while not stop.is_set():
        for _ in range(500):
            number += 1
            record.begin(number)
            for at in range(CAPACITY - PART, -1, -PART):
                record.payload[at : at + PART] = payloads[number % 64][:PART]
            record.end(number, CAPACITY)
            for _ in range(GAP):
                pass


def one_record(capacity: int = 64) -> tuple[Record, bytearray]:
    buffer = bytearray(record_bytes(capacity))
    return Record(memoryview(buffer), 0, capacity), buffer


@pytest.fixture
def hammered(tmp_path: Path) -> Iterator[Record]:
    """A record that another process writes as fast as it can."""
    path = tmp_path / "record"
    path.write_bytes(bytes(record_bytes(CAPACITY)))
    with path.open("r+b") as file:
        record = Record(memoryview(mmap.mmap(file.fileno(), 0)), 0, CAPACITY)
    record.write(1, payload_of(1))
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=hammer, args=(str(path), stop), daemon=True)
    writer.start()
    while record.number < 1000:
        time.sleep(0.005)
    yield record
    stop.set()
    writer.join(10)


def read_head_first(record: Record) -> bytes | None:
    """The obvious order, and the wrong one: the write that it meets may begin after its look at the head."""
    head = record._head[0]
    data = bytes(record.payload)
    return data if head == record._tail[0] else None


def test_no_torn_record_is_taken_from_a_writer_that_never_rests(hammered: Record) -> None:
    """The whole exchange of the two processes rests on this; a tail of 0 in the middle would say "never written"."""
    newest = taken = 0
    ends = time.monotonic() + 30
    while taken < READS and time.monotonic() < ends:
        try:
            number, found = hammered.read()
        except TornReadError:
            continue
        assert number > 0
        assert whole(found)
        assert number >= newest
        newest, taken = number, taken + 1
    assert taken == READS
    assert newest > 1000


def test_the_obvious_order_takes_torn_records(hammered: Record) -> None:
    """Shows that the test above meets the writer at all: a reader in head-copy-tail order is fooled there."""
    ends = time.monotonic() + 20
    fooled = reads = 0
    while fooled < 3 and time.monotonic() < ends:
        reads += 1
        found = read_head_first(hammered)
        fooled += found is not None and not whole(found)
    assert fooled == 3, f"{fooled} of {reads}"


def test_a_counter_is_never_seen_half_written(tmp_path: Path) -> None:
    """`struct.pack_into` clears its eight bytes first: readers saw the ring's row count fall to 0 and come back."""
    path = tmp_path / "record"
    path.write_bytes(bytes(record_bytes(8)))
    with path.open("r+b") as file:
        record = Record(memoryview(mmap.mmap(file.fileno(), 0)), 0, 8)
    record.write(1, b"x")
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=hammer_numbers, args=(str(path), stop), daemon=True)
    writer.start()
    while record.number < 1000:
        time.sleep(0.005)
    seen = [record.number for _ in range(500_000)]
    stop.set()
    writer.join(10)
    assert all(a <= b for a, b in pairwise(seen))
    assert seen[-1] > seen[0]


def hammer_numbers(path: str, stop: multiprocessing.Event) -> None:
    with Path(path).open("r+b") as file:
        record = Record(memoryview(mmap.mmap(file.fileno(), 0)), 0, 8)
    number = 1
    while not stop.is_set():
        for _ in range(500):
            number += 1
            record.write(number, b"x")


def test_before_the_first_write_there_is_nothing() -> None:
    """Number 0 is how readers know."""
    assert one_record()[0].read() == (0, b"")


def test_a_write_that_began_and_never_ended_is_not_read() -> None:
    """Control was killed in the middle: what was whole before is gone, and must not look whole."""
    record, _ = one_record()
    record.write(1, b"first")
    record.begin(2)
    record.payload[:3] = b"sec"
    with pytest.raises(TornReadError, match="met the writer"):
        record.read()
    record.write(3, b"third")
    assert record.read() == (3, b"third")


def test_a_first_write_that_never_ended_is_no_write() -> None:
    """As before the first one."""
    record, _ = one_record()
    record.begin(1)
    record.payload[:3] = b"fir"
    assert record.read() == (0, b"")


def test_a_tail_without_the_bytes_it_vouches_for_is_refused() -> None:
    """A processor may show the tail before the payload: the CRC tells."""
    record, _ = one_record()
    record.write(1, b"first")
    record.begin(2)
    record._tail[0] = 2
    record.payload[:5] = b"secon"
    with pytest.raises(TornReadError):
        record.read()


@pytest.mark.parametrize("at", [12, 13, 16, 20])
def test_one_changed_byte_of_sum_or_payload_is_noticed(at: int) -> None:
    """CRC-32 over what was copied, not over what lies there afterwards."""
    record, buffer = one_record()
    record.write(1, b"first")
    buffer[at] ^= 1
    with pytest.raises(TornReadError):
        record.read()


@pytest.mark.parametrize("summed", [64, 100])
def test_a_length_beyond_the_record_is_refused(summed: int) -> None:
    """Whatever the CRC fits, the record's own bytes or the neighbour's too: its writer cannot have written that."""
    buffer = bytearray(record_bytes(64) + 64)
    record = Record(memoryview(buffer), 0, 64)
    record.write(1, b"first")
    buffer[8:12] = (100).to_bytes(4, "little")
    buffer[12:16] = zlib.crc32(buffer[16 : 16 + summed]).to_bytes(4, "little")
    with pytest.raises(TornReadError):
        record.read()


def test_more_than_fits_is_refused_and_changes_nothing() -> None:
    """Writing on would run over the next record."""
    record, _ = one_record()
    record.write(1, b"x" * 64)
    with pytest.raises(ValueError, match="record of 64 bytes: got 65 bytes"):
        record.write(2, b"y" * 65)
    assert record.read() == (1, b"x" * 64)


def test_an_empty_payload_is_a_write_too() -> None:
    """Length 0 is no torn record."""
    record, _ = one_record()
    record.write(4, b"")
    assert record.read() == (4, b"")
