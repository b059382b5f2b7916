"""Readers and writers on real files: who is let in, what a restart keeps, what a dead start leaves."""

import os
import stat
import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest
from image_site import publish, publish_rows, site_of

from pswd_edge.errors import ImageError, ImageMismatchError
from pswd_edge.image import ImageReader, ImageWriter
from pswd_edge.image.layout import EVENT_SLOTS, REPORT_BYTES
from pswd_edge.model.event import Event
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.site import encode_site, site_hash

SITE = site_of(3, period_ms=100_000)      # 36 rows in the ring


def tell(writer: ImageWriter, first: int, count: int) -> None:
    for number in range(first, first + count):
        event = Event(number, 1e9, "info", "code", "subject", f"event {number}")
        writer.publish_event(number, msgspec.msgpack.encode(event))


def test_a_reader_of_another_site_is_refused(tmp_path: Path) -> None:
    """Point 7 of one site is a battery in the other."""
    ImageWriter(tmp_path, SITE)
    other = site_hash(encode_site(site_of(4)))
    with pytest.raises(ImageMismatchError, match=f"expected site {other}; load the site again"):
        ImageReader(tmp_path, other)
    assert ImageReader(tmp_path, site_hash(encode_site(SITE))).site == SITE


def test_a_changed_compiled_site_is_refused(tmp_path: Path) -> None:
    """The hash is of its bytes: nobody swaps the site under an image."""
    writer = ImageWriter(tmp_path, SITE)
    (tmp_path / f"site-{writer.site_hash}.bin").write_bytes(encode_site(site_of(4)))
    with pytest.raises(ImageError, match="its content is site"):
        ImageReader(tmp_path)


def test_a_missing_compiled_site_is_an_image_error(tmp_path: Path) -> None:
    """The gateway waits for such errors to pass; it would die of an OSError."""
    writer = ImageWriter(tmp_path, SITE)
    (tmp_path / f"site-{writer.site_hash}.bin").unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        ImageReader(tmp_path)


def test_a_compiled_site_of_another_release_is_an_image_error(tmp_path: Path) -> None:
    """The bytes are whole but the model has changed: no traceback of a decoder."""
    writer = ImageWriter(tmp_path, SITE)
    alien = msgspec.msgpack.encode({"id": "north"})
    (tmp_path / f"site-{site_hash(alien)}.bin").write_bytes(alien)
    with writer.path.open("r+b") as file:
        file.seek(16)
        file.write(bytes.fromhex(site_hash(alien)))
    with pytest.raises(ImageError, match="no site of this release"):
        ImageReader(tmp_path)


def test_no_image_is_an_image_error(tmp_path: Path) -> None:
    """Before control has started."""
    with pytest.raises(ImageError, match="is the control process running"):
        ImageReader(tmp_path)


@pytest.mark.parametrize(("at", "new"), [(8, struct.pack("<I", 99)), (0, b"PSWDIMG9")])
def test_an_image_of_another_version_is_refused(tmp_path: Path, at: int, new: bytes) -> None:
    """Another layout read as ours is garbage called GOOD."""
    writer = ImageWriter(tmp_path, SITE)
    with writer.path.open("r+b") as file:
        file.seek(at)
        file.write(new)
    with pytest.raises(ImageError, match="from the same release"):
        ImageReader(tmp_path)


@pytest.mark.parametrize("size", [0, 40, 4000, 8192])
def test_a_cut_image_is_refused(tmp_path: Path, size: int) -> None:
    """Its offsets lie beyond its end."""
    writer = ImageWriter(tmp_path, SITE)
    os.truncate(writer.path, size)
    with pytest.raises(ImageError):
        ImageReader(tmp_path)


@pytest.mark.parametrize("left", [b"", b"x" * 40, b"x" * 5000])
def test_control_starts_beside_an_image_that_is_none(tmp_path: Path, left: bytes) -> None:
    """A start that was killed, or another release, left it: control must not stay down because of it."""
    (tmp_path / "image-00000004").write_bytes(left)
    (tmp_path / "image").symlink_to("image-00000004")
    (tmp_path / "image-olderone").write_bytes(b"")
    writer = ImageWriter(tmp_path, SITE)
    assert writer.generation == 5
    assert ImageReader(tmp_path).row_count == 0
    assert not (tmp_path / "image-00000004").exists()


def test_a_start_that_was_killed_does_not_cost_the_hour_nor_strand_the_readers(tmp_path: Path) -> None:
    """It left a newer file that nobody points to; rows, and the readers to be told, are with the older one."""
    first = ImageWriter(tmp_path, SITE)
    publish_rows(first, 3, 0, 5)
    reader = ImageReader(tmp_path)
    (tmp_path / "image-00000002").write_bytes(bytes(first.layout.size))
    third = ImageWriter(tmp_path, SITE)
    assert third.generation == 3
    assert reader.follow()
    assert reader.generation == 3
    assert reader.rows(10).cycle.tolist() == [0, 1, 2, 3, 4]
    assert sorted(p.name for p in tmp_path.glob("image*")) == ["image", "image-00000003"]


def test_a_restart_keeps_rows_and_events_of_the_same_site(tmp_path: Path) -> None:
    """The history of the last hour is the history of the site, not of the process."""
    first = ImageWriter(tmp_path, SITE)
    publish_rows(first, 3, 0, 50)
    tell(first, 1, 7)
    second = ImageWriter(tmp_path, SITE)
    publish_rows(second, 3, 50, 2)
    assert second.last_event == 7
    tell(second, 8, 1)
    reader = ImageReader(tmp_path)
    assert reader.rows(4).cycle.tolist() == [48, 49, 50, 51]
    assert reader.rows(4).number.tolist() == [48, 49, 50, 51]
    assert [e.number for e in reader.events(5)] == [6, 7, 8]


def test_a_restart_does_not_keep_latest_values(tmp_path: Path) -> None:
    """Nobody has read them since: NEVER_READ is the truth."""
    publish(ImageWriter(tmp_path, SITE), 1, 3)
    ImageWriter(tmp_path, SITE)
    assert ImageReader(tmp_path).value(0, 0.0)[0].reason is Reason.NEVER_READ


def test_a_restart_with_another_site_begins_anew(tmp_path: Path) -> None:
    """Column 1 was another point."""
    first = ImageWriter(tmp_path, SITE)
    publish_rows(first, 3, 0, 5)
    tell(first, 1, 3)
    second = ImageWriter(tmp_path, site_of(3, period_ms=100_000, name="south"))
    assert second.layout == first.layout
    reader = ImageReader(tmp_path)
    assert (reader.row_count, second.last_event, reader.events(0)) == (0, 0, [])


def test_a_reader_follows_to_the_next_generation(tmp_path: Path) -> None:
    """A hot reload: the old file lives on for whoever still reads it, the new one has the new site."""
    first = ImageWriter(tmp_path, SITE)
    publish(first, 1, 3)
    reader = ImageReader(tmp_path)
    assert not reader.follow()
    second = ImageWriter(tmp_path, site_of(5))
    assert reader.value(2, 200.0)[0].value == 2.0
    assert reader.follow()
    assert (reader.generation, len(reader.site.points), reader.site_hash) == (2, 5, second.site_hash)
    assert not reader.follow()


def test_a_reader_that_cannot_follow_keeps_what_it_has(tmp_path: Path) -> None:
    """The new site cannot be read yet: old values with the old site, never new bytes with the old offsets."""
    publish(ImageWriter(tmp_path, SITE), 1, 3)
    reader = ImageReader(tmp_path)
    second = ImageWriter(tmp_path, site_of(5))
    bin_file = tmp_path / f"site-{second.site_hash}.bin"
    content = bin_file.read_bytes()
    bin_file.unlink()
    with pytest.raises(ImageError):
        reader.follow()
    assert (reader.generation, len(reader.site.points), reader.value(2, 200.0)[0].value) == (1, 3, 2.0)
    bin_file.write_bytes(content)
    assert reader.follow()


def test_files_are_for_owner_and_group_whatever_the_umask(tmp_path: Path) -> None:
    """The gateway's user shares the group; nobody else has any business here."""
    before = os.umask(0o077)
    try:
        writer = ImageWriter(tmp_path, SITE)
    finally:
        os.umask(before)
    for path in (writer.path, tmp_path / f"site-{writer.site_hash}.bin"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, path


def test_the_file_is_allocated_at_once(tmp_path: Path) -> None:
    """A full tmpfs then shows at the start, not as SIGBUS in the middle of a cycle."""
    writer = ImageWriter(tmp_path, SITE)
    found = writer.path.stat()
    assert found.st_size == writer.layout.size
    assert found.st_blocks * 512 >= found.st_size


def test_before_the_first_write_nothing_looks_like_a_value(tmp_path: Path) -> None:
    """NaN, BAD, infinitely old: never 0."""
    ImageWriter(tmp_path, SITE)
    reader = ImageReader(tmp_path)
    value, quality, reason, received_s, source_utc_s = reader.latest()
    assert np.isnan(value).all()
    assert np.isnan(source_utc_s).all()
    assert (quality == Quality.BAD).all()
    assert (reason == Reason.NEVER_READ).all()
    assert (received_s == -np.inf).all()
    reading, source = reader.value(1, 50.0)
    assert np.isnan([reading.value, source]).all()
    assert (reading.quality, reading.reason, reading.age_s) == (Quality.BAD, Reason.NEVER_READ, np.inf)
    assert (reader.report(), reader.field_report(), reader.events(0), reader.beat_s) == (None, None, [], 0.0)


def test_latest_values_of_several_blocks(tmp_path: Path) -> None:
    """A block holds 1,024 points; the last one is not full, and none may slip into its neighbour."""
    size = 2 * 1024 + 17
    publish(ImageWriter(tmp_path, site_of(size)), 1, size)
    reader = ImageReader(tmp_path)
    value, quality, reason, received_s, source_utc_s = reader.latest()
    assert value.tolist() == list(range(size))
    assert received_s.tolist() == [100.0 + i for i in range(size)]
    assert set(source_utc_s.tolist()) == {1000.0}
    assert not quality.any()
    assert not reason.any()
    for point in (0, 1023, 1024, 2047, 2048, size - 1):
        reading, source = reader.value(point, 5000.0)
        assert (reading.value, reading.age_s, source) == (point, 4900.0 - point, 1000.0)


@pytest.mark.parametrize("point", [-1, 3, 1023, 1024])
def test_a_point_that_is_none_has_no_value(tmp_path: Path, point: int) -> None:
    """The rest of the block is zeros: 0.0, quality 0 = GOOD, a value that nobody measured."""
    publish(ImageWriter(tmp_path, SITE), 1, 3)
    with pytest.raises(IndexError, match=r"expected 0\.\.2"):
        ImageReader(tmp_path).value(point, 200.0)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Reports and events have their room; more would lie over the next record."""
    writer = ImageWriter(tmp_path, SITE)
    with pytest.raises(ValueError, match=f"got {REPORT_BYTES + 1} bytes"):
        writer.publish_report(1, b"x" * (REPORT_BYTES + 1))
    with pytest.raises(ValueError, match="got 262145 bytes"):
        writer.publish_field(1, b"x" * 262_145)
    with pytest.raises(ValueError, match="got 1025 bytes"):
        writer.publish_event(1, b"x" * 1025)
    assert (ImageReader(tmp_path).report(), writer.last_event) == (None, 0)


def test_events_are_the_last_thousand_and_24(tmp_path: Path) -> None:
    """Bounded: who comes late has lost the older ones, and knows by the numbers."""
    writer = ImageWriter(tmp_path, SITE)
    tell(writer, 1, EVENT_SLOTS + 30)
    reader = ImageReader(tmp_path)
    assert [e.number for e in reader.events(0)] == list(range(31, EVENT_SLOTS + 31))
    assert [e.text for e in reader.events(EVENT_SLOTS + 28)] == ["event 1053", "event 1054"]
    assert reader.events(EVENT_SLOTS + 30) == []
    assert reader.events(10**9) == []


def test_the_beat_is_what_was_written(tmp_path: Path) -> None:
    """Readers judge by it whether control lives."""
    writer = ImageWriter(tmp_path, SITE)
    writer.beat(1234.5)
    assert ImageReader(tmp_path).beat_s == 1234.5
