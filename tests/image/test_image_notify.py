"""The row bell: it rings once a cycle and never waits for anybody."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pswd_edge.image.notify import RowBell, RowListener


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[RowBell]:
    made = RowBell(tmp_path / "rows")
    yield made
    made.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[RowListener]:
    made = RowListener(tmp_path / "rows", "gateway")
    yield made
    made.close()


def test_a_listener_hears_the_newest_row(bell: RowBell, listener: RowListener) -> None:
    """Streams want to know how far the ring is, not each step."""
    bell.look()
    for row in (3, 4, 5):
        bell.ring(row)
    assert listener.drain() == 5
    assert listener.drain() is None
    assert bell.dropped == 0


def test_no_folder_and_no_listener_is_silence(bell: RowBell) -> None:
    """Control starts before the gateway, and does without it."""
    bell.look()
    bell.ring(1)
    assert bell.dropped == 0


def test_a_listener_that_does_not_listen_costs_nothing_but_rows(bell: RowBell, listener: RowListener) -> None:
    """Its queue is full after some rows: the rest is dropped and counted, and no call waits."""
    bell.look()
    begun = time.monotonic()
    for row in range(5000):
        bell.ring(row)
    assert time.monotonic() - begun < 2.0
    heard = 0
    while (row := listener.drain()) is not None:
        heard = row
    assert 0 < bell.dropped < 5000
    assert heard == 5000 - bell.dropped - 1


def test_a_dead_listener_is_counted_and_its_neighbour_served(
    bell: RowBell, listener: RowListener, tmp_path: Path
) -> None:
    """It was killed and left its socket file."""
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(tmp_path / "rows" / "a-dead-one.row"))
    dead.close()
    bell.look()
    bell.ring(9)
    assert bell.dropped == 1
    assert listener.drain() == 9


def test_a_listener_takes_over_the_file_of_its_dead_predecessor(bell: RowBell, tmp_path: Path) -> None:
    """After a crash the name is there still."""
    first = RowListener(tmp_path / "rows", "gateway")
    first.socket.close()
    second = RowListener(tmp_path / "rows", "gateway")
    bell.look()
    bell.ring(1)
    assert second.drain() == 1
    second.close()
    assert not second.path.exists()


@pytest.mark.parametrize("message", [b"", b"abc", b"123456789"])
def test_a_datagram_that_is_no_row_is_passed_over(bell: RowBell, listener: RowListener, message: bytes) -> None:
    """Whoever may write to the socket may not end the gateway with it."""
    bell.look()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(message, str(listener.path))
    assert listener.drain() is None
    bell.ring(2)
    assert listener.drain() == 2
