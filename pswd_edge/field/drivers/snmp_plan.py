"""Object ids to requests: GETs of a few objects each, and one GETBULK for a long column of a table."""

from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.model.device import Device
from pswd_edge.model.point import Point, SnmpAddress

BULK_MAX = 100                # rows of a column that one request walks


class Ask(NamedTuple):
    """What a request asks for: these objects, in order; where `column` is not empty by walking it from its first row.

    `rows` are the rows of the column up to the last that is wanted.
    """

    oids: tuple[str, ...]
    column: str = ""
    rows: int = 0


class _Cell(NamedTuple):
    """A point with its object id cut into column and row, where its last number counts rows."""

    point: Point
    oid: str
    column: str
    row: int


def plan_requests(device: Device, points: Sequence[Point], max_oids: int) -> list[ReadRequest]:
    """The fewest exchanges: a column with more objects than fit into one GET is walked, the rest is asked by GET.

    Walked from the first row on, so only a column whose wanted rows are at least half of those walked.
    """
    cells = [_cell(p, p.address) for p in points if isinstance(p.address, SnmpAddress)]
    columns: dict[str, list[_Cell]] = {}
    for cell in cells:
        columns.setdefault(cell.column, []).append(cell)
    walked = {column for column, found in columns.items() if max_oids < len(found) and _dense(found)}
    requests = [_walk(device, columns[c]) for c in columns if c in walked]
    rest = [cell for cell in cells if cell.column not in walked]
    return requests + [_get(device, rest[i : i + max_oids]) for i in range(0, len(rest), max_oids)]


def _cell(point: Point, address: SnmpAddress) -> _Cell:
    oid = address.oid.removeprefix(".")
    column, _, row = oid.rpartition(".")
    return _Cell(point, oid, column, int(row))


def _dense(cells: Sequence[_Cell]) -> bool:
    rows = 1 + max(cell.row for cell in cells)
    return rows <= min(BULK_MAX, 2 * len({cell.row for cell in cells}))


def _get(device: Device, cells: Sequence[_Cell]) -> ReadRequest:
    return _request(device, cells, Ask(tuple(c.oid for c in cells)), f"{len(cells)} oids from {cells[0].oid}")


def _walk(device: Device, cells: Sequence[_Cell]) -> ReadRequest:
    column, rows = cells[0].column, 1 + max(c.row for c in cells)
    return _request(device, cells, Ask(tuple(c.oid for c in cells), column, rows), f"{len(cells)} rows of {column}")


def _request(device: Device, cells: Sequence[_Cell], ask: Ask, text: str) -> ReadRequest:
    points = tuple(c.point for c in cells)
    return ReadRequest(device, points, points[0].period_ms, ask, len(cells), text)
