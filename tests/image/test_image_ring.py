"""The ring of rows: it turns, and the writer overtakes who copies too slowly."""

from pathlib import Path

import numpy as np
import pytest
from image_site import publish_rows, site_of

from pswd_edge.image import ImageReader, ImageWriter

SITE = site_of(3, period_ms=100_000)
ROWS = 36


@pytest.fixture
def pair(tmp_path: Path) -> tuple[ImageWriter, ImageReader]:
    writer = ImageWriter(tmp_path, SITE)
    assert writer.layout.rows == ROWS
    return writer, ImageReader(tmp_path)


def test_an_empty_ring_has_no_rows(pair: tuple[ImageWriter, ImageReader]) -> None:
    """Shapes hold even so: whoever plots it need not ask."""
    _, reader = pair
    rows = reader.rows(10)
    assert (rows.number.shape, rows.value.shape, rows.quality.shape) == ((0,), (0, 2), (0, 2))
    assert len(reader.rows_after(-1).number) == 0


def test_rows_come_in_order_with_all_they_have(pair: tuple[ImageWriter, ImageReader]) -> None:
    """Number, cycle, both clocks, value and quality of the trend points."""
    writer, reader = pair
    publish_rows(writer, 3, 7, 3)
    rows = reader.rows(2)
    assert rows.number.tolist() == [1, 2]
    assert rows.cycle.tolist() == [8, 9]
    assert rows.monotonic_s.tolist() == [8.0, 9.0]
    assert rows.utc_s.tolist() == [1e9 + 8, 1e9 + 9]
    assert rows.value.tolist() == [[8.0, 8.0], [9.0, 9.0]]
    assert rows.quality.tolist() == [[2, 2], [0, 0]]
    assert reader.rows(99).cycle.tolist() == [7, 8, 9]
    assert reader.rows_after(0).number.tolist() == [1, 2]
    assert len(reader.rows_after(2).number) == 0
    assert len(reader.rows_after(10**9).number) == 0


@pytest.mark.parametrize("written", [35, 36, 37, 71, 72, 73, 500])
def test_the_ring_turns(pair: tuple[ImageWriter, ImageReader], written: int) -> None:
    """All but the slot that the next row goes to: the writer may be in it already."""
    writer, reader = pair
    publish_rows(writer, 3, 0, written)
    kept = min(written, ROWS - 1)
    rows = reader.rows(10_000)
    assert rows.cycle.tolist() == list(range(written - kept, written))
    assert rows.value[:, 0].tolist() == [float(c) for c in range(written - kept, written)]
    assert reader.rows_after(written - 6).number.tolist() == list(range(written - 5, written))


def test_rows_that_the_writer_overtakes_are_left_out(
    pair: tuple[ImageWriter, ImageReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten rows are written while the reader copies: the ten oldest are mixed up, and not handed out."""
    writer, reader = pair
    publish_rows(writer, 3, 0, 50)
    copy = reader._copy_rows

    def slowly(first: int, end: int) -> np.ndarray:
        publish_rows(writer, 3, 50, 5)
        found = copy(first, end)
        publish_rows(writer, 3, 55, 5)
        return found

    monkeypatch.setattr(reader, "_copy_rows", slowly)
    rows = reader.rows_after(-1)
    assert rows.cycle.tolist() == list(range(25, 50))
    assert rows.value[:, 1].tolist() == [float(c) for c in range(25, 50)]


def test_rows_never_number_more_than_asked_for(
    pair: tuple[ImageWriter, ImageReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that comes in between belongs to the next call."""
    writer, _ = pair
    publish_rows(writer, 3, 0, 10)
    counts = iter([10, 11, 11])
    monkeypatch.setattr(ImageReader, "row_count", property(lambda _: next(counts)))
    publish_rows(writer, 3, 10, 1)
    assert pair[1].rows(4).cycle.tolist() == [6, 7, 8, 9]


def test_the_row_being_written_when_control_died_is_left_out(pair: tuple[ImageWriter, ImageReader]) -> None:
    """Its slot held the oldest row; half of it is gone."""
    writer, reader = pair
    publish_rows(writer, 3, 0, 80)
    slot = writer.layout.ring + (80 % ROWS) * writer.layout.row_bytes
    writer._buffer[slot : slot + 8] = (81).to_bytes(8, "little")
    assert reader.rows(100).cycle.tolist() == list(range(45, 80))


def test_one_of_the_newest_rows_with_a_wrong_sum_is_left_out(pair: tuple[ImageWriter, ImageReader]) -> None:
    """Its bytes may still be on their way between two processors."""
    writer, reader = pair
    publish_rows(writer, 3, 0, 5)
    writer._buffer[writer.layout.ring + 4 * writer.layout.row_bytes + 40] ^= 1
    assert reader.rows(5).cycle.tolist() == [0, 1, 2, 3]


def test_a_site_without_trends_has_rows_without_values(tmp_path: Path) -> None:
    """Cycle and clocks are still worth something."""
    writer = ImageWriter(tmp_path, site_of(3, trend=0, period_ms=100_000))
    publish_rows(writer, 3, 0, 2)
    rows = ImageReader(tmp_path).rows(5)
    assert rows.cycle.tolist() == [0, 1]
    assert rows.value.shape == (2, 0)


def test_an_hour_of_a_large_site_stays_within_its_room(tmp_path: Path) -> None:
    """Preallocated memory is bounded whatever the site asks to trend."""
    from pswd_edge.image.layout import layout_of
    found = layout_of(site_of(5000, trend=5000))
    assert found.rows < 36_000
    assert found.size < 100e6
