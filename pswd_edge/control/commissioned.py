"""What was commissioned: `state_dir/commissioned.json`, one record a point, and whether it still fits the site.

A record holds what the point was when it was tried (map, address, scale, limits). Where the site's point is no longer
that, the record counts no more: what was seen then says nothing of what is written now.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from pswd_edge.control import whole_file
from pswd_edge.model.control import BatteryControl
from pswd_edge.model.point import Point
from pswd_edge.model.site import Site

FILE = "commissioned.json"
NEVER = "never"
_NAMED = 6                    # devices that the alarm names before it counts
_log = structlog.get_logger("control")


class Record(Struct, frozen=True):
    """One commissioned point. `facts` is what it was then, `hash` names them; `how` it was tried, `seen` what came."""

    who: str
    utc_s: float
    how: str
    vendor: str
    hash: str
    facts: dict[str, str]
    seen: tuple[str, ...] = ()


def facts_of(site: Site, point: Point) -> dict[str, str]:
    """What decides which raw value goes where: map, unit, address, scale, limits. Names and rates do not."""
    device = site.devices[point.device]
    facts = {"map": device.map, "unit_id": str(device.unit), "unit": point.unit, "scale": f"{point.scale:.12g}",
             "offset": f"{point.offset:.12g}"}
    for found in msgspec.structs.fields(point.address):
        value = getattr(point.address, found.name)
        if value != found.default:  # a key that a later release adds with its default changes nothing
            facts[f"address.{found.name}"] = str(value)
    if point.write is not None:
        facts |= {"minimum": f"{point.write.minimum:.12g}", "maximum": f"{point.write.maximum:.12g}"}
    return facts | {f"label.{value}": name for value, name in point.labels.items()}


def hash_of(facts: Mapping[str, str]) -> str:
    """Sixteen hex digits that name the facts."""
    return hashlib.blake2b(msgspec.json.encode(sorted(facts.items())), digest_size=8).hexdigest()


def record_of(site: Site, point: Point, who: str, utc_s: float, how: str, seen: tuple[str, ...] = ()) -> Record:
    """The record of a point as it is now."""
    facts = facts_of(site, point)
    return Record(who, utc_s, how, site.devices[point.device].vendor, hash_of(facts), facts, seen)


def led_points(battery: BatteryControl) -> list[int]:
    """The points that are written to lead a battery, in the order of writing; they are commissioned together."""
    found = (battery.revert_timeout, battery.setpoint, battery.mode, battery.enable, battery.heartbeat)
    return [p for p in found if p is not None]


class Commissioned:
    """The records of a site. `path` None: nothing is kept."""

    def __init__(self, site: Site, path: Path | None = None) -> None:
        self._site, self._path = site, path
        self.records: dict[str, Record] = {} if path is None else read_records(path)
        self.missing: dict[int, str] = {}
        self.barred: frozenset[int] = frozenset()
        self.message = ""
        self._judge()

    def under(self, site: Site) -> "Commissioned":
        """The same records, judged for another site file."""
        after = Commissioned(site)
        after._path = self._path
        after.take(self.records)
        return after

    def added(self, records: Mapping[str, Record]) -> dict[str, Record]:
        """All records with these, for `write_records`."""
        return self.records | dict(records)

    def take(self, records: dict[str, Record]) -> None:
        """These are written down: they count from now on."""
        self.records = records
        self._judge()

    @property
    def path(self) -> Path | None:
        """The file."""
        return self._path

    def _judge(self) -> None:
        """Which points may not be led, and why."""
        self.missing = dict(self._missing())
        barred = set(self.missing) if self._site.control.require_commissioning else set()
        for battery in self._site.control.batteries:
            if barred.intersection(led_points(battery)):  # all that leads it, or nothing
                barred.update(led_points(battery))
        self.barred, self.message = frozenset(barred), self._message(barred)

    def _missing(self) -> Iterator[tuple[int, str]]:
        for point in self._site.points:
            if point.write is None:
                continue
            record = self.records.get(point.id)
            facts = facts_of(self._site, point)
            if record is None:
                yield point.index, NEVER
            elif record.hash != hash_of(facts):
                yield point.index, f"changed since commissioning: {_difference(record.facts, facts)}"

    def _message(self, barred: set[int]) -> str:
        """What control would use and may not; empty where there is none."""
        spec, points = self._site.control, self._site.points
        found: dict[str, str] = {}
        for battery in spec.batteries:
            why = next((self.missing[p] for p in led_points(battery) if p in self.missing and p in barred), "")
            if why:
                found[battery.id] = why
        for index in (*(c.cap for c in spec.load_controllers), *(t.setpoint for t in spec.tiers),
                      *(a.setpoint for a in spec.absorbers)):
            if index in barred:
                found[points[index].id] = self.missing[index]
        named = [f"{name} ({why})" for name, why in list(found.items())[:_NAMED]]
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return f"not commissioned, left out by AUTO: {', '.join(named)}{more}" if named else ""


def _difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [k for k in dict.fromkeys([*before, *now]) if before.get(k) != now.get(k)]
    return "; ".join(f"{k} {before.get(k, 'none')} -> {now.get(k, 'none')}" for k in changed) or "its facts"


def read_records(path: Path) -> dict[str, Record]:
    """The records of a file; none where there is none. A file that cannot be read costs the records, not the start."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Record])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        _log.error("commissioned.json cannot be read: nothing counts as commissioned", path=str(path), error=str(error))
        return {}


def write_records(path: Path, records: Mapping[str, Record]) -> None:
    """Replace the file, whole or not at all. Blocks on the disk. Raises OSError."""
    whole_file.replace(path, msgspec.json.format(msgspec.json.encode(records), indent=1))


def record_all(site: Site, state_dir: Path, who: str, utc_s: float, how: str) -> None:
    """Write a record of every actuated point, for a simulated site that needs no commissioning."""
    points: Iterable[Point] = (p for p in site.points if p.write is not None)
    write_records(state_dir / FILE, {p.id: record_of(site, p, who, utc_s, how) for p in points})
