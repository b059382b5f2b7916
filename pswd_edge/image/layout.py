"""Where everything lies in the image. Writer and readers compute it from the same compiled site."""

from typing import NamedTuple

from pswd_edge.image.record import record_bytes
from pswd_edge.model.site import Site

MAGIC = b"PSWDIMG1"
HEADER_BYTES = 4096
BLOCK_POINTS_MAX = 4096       # points of one latest-value record: 139 kB, copied and summed in some 100 µs
POINT_BYTES = 8 + 8 + 8 + 1 + 1
REPORT_BYTES = 3 * 1024 * 1024  # reasons, tiers and at most 600 workloads of one cycle
FIELD_BYTES = 256 * 1024      # one line for each connection
EVENT_SLOTS = 1024
EVENT_BYTES = 1024
ROW_HEAD_BYTES = 24           # cycle u64, monotonic f64, UTC f64
RING_SECONDS = 3600
RING_BYTES_MAX = 80_000_000


class Layout(NamedTuple):
    """Offsets in bytes, counts, and the image's size."""

    points: int
    block_points: int
    blocks: int
    trend: int
    rows: int
    row_payload: int
    latest: int
    report: int
    field: int
    events: int
    ring: int
    size: int

    @property
    def row_bytes(self) -> int:
        """Bytes from one ring row to the next."""
        return record_bytes(self.row_payload)

    def block_span(self, block: int) -> tuple[int, int]:
        """First point and number of points of a latest-value block."""
        first = block * self.block_points
        return first, min(self.block_points, self.points - first)

    @property
    def block_bytes(self) -> int:
        """Payload of one latest-value record."""
        return self.block_points * POINT_BYTES

    def block_offset(self, block: int) -> int:
        """Where a latest-value record begins."""
        return self.latest + block * record_bytes(self.block_bytes)

    def event_offset(self, number: int) -> int:
        """Where the record of event `number` (1, 2, …) begins; the ring keeps the last `EVENT_SLOTS`."""
        return self.events + (number % EVENT_SLOTS) * record_bytes(EVENT_BYTES)


def layout_of(site: Site) -> Layout:
    """The layout of a site's image.

    The ring keeps an hour of cycles, or what fits 80 MB where an hour does not.
    """
    points, trend = len(site.points), len(site.trend_points)
    block_points = max(8, min(BLOCK_POINTS_MAX, -(-points // 8) * 8))  # whole 64-bit words, also of the bytes
    blocks = max(1, -(-points // block_points))
    row_payload = ROW_HEAD_BYTES + trend * 9
    wanted = RING_SECONDS * 1000 // site.control.period_ms
    rows = min(wanted, RING_BYTES_MAX // record_bytes(row_payload))
    latest = HEADER_BYTES
    report = latest + blocks * record_bytes(block_points * POINT_BYTES)
    field = report + record_bytes(REPORT_BYTES)
    events = field + record_bytes(FIELD_BYTES)
    ring = events + EVENT_SLOTS * record_bytes(EVENT_BYTES)
    size = ring + rows * record_bytes(row_payload)
    return Layout(points, block_points, blocks, trend, rows, row_payload, latest, report, field, events, ring, size)
