"""What devices were found to refuse, kept across restarts: points that they lack, and holes not to be bridged."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from pswd_edge.model.device import Device
from pswd_edge.model.point import Point
from pswd_edge.model.site import Site

SEARCHES_MAX = 20             # of one device, since start
RECHECK_S = 600.0


class Refusals(Struct):
    """Of one device. `fingerprint` names the addresses that this was found with: another map begins anew."""

    fingerprint: str
    refused: set[str] = set()
    barriers: set[int] = set()


class Learnt:
    """By device id. Reading and writing the file is the caller's to do away from the event loop."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._devices: dict[str, Refusals] = {}
        self._searches: dict[str, int] = {}
        self._checked_s: dict[str, float] = {}
        if path is not None and path.is_file():
            self._devices = _read(path)

    def keep_only(self, site: Site) -> None:
        """Forget devices that the site does not have, or has with other addresses."""
        valid = {d.id: fingerprint(site, d) for d in site.devices if d.id in self._devices}
        self._devices = {i: r for i, r in self._devices.items() if valid.get(i) == r.fingerprint}

    def refuses(self, device: Device, point: Point) -> bool:
        """Whether the point is left out of requests."""
        found = self._devices.get(device.id)
        return found is not None and point.id in found.refused

    def refused_points(self, site: Site) -> list[int]:
        """Indices of all points that are left out."""
        ids = [i for found in self._devices.values() for i in found.refused]
        return [site.point_index[i] for i in ids if i in site.point_index]

    def walled(self, device: Device) -> Device:
        """The device with what was learnt as further barriers."""
        found = self._devices.get(device.id)
        if found is None or not found.barriers:
            return device
        return msgspec.structs.replace(device, barriers=tuple(sorted({*device.barriers, *found.barriers})))

    def add(self, site: Site, device: Device, refused: Iterable[Point], barriers: Iterable[int]) -> bool:
        """Remember; True where something is new."""
        found = self._devices.setdefault(device.id, Refusals(fingerprint(site, device)))
        size = len(found.refused) + len(found.barriers)
        found.refused |= {p.id for p in refused}
        found.barriers |= set(barriers)
        return len(found.refused) + len(found.barriers) > size

    def forget(self, device_id: str) -> bool:
        """Ask everything again, as after a firmware update; False where nothing was known."""
        return self._devices.pop(device_id, None) is not None

    def may_search(self, device_id: str) -> bool:
        """Whether another search may find more: a device that refuses for ever must not be searched for ever."""
        self._searches[device_id] = self._searches.get(device_id, 0) + 1
        return self._searches[device_id] <= SEARCHES_MAX

    def due_again(self, now_s: float) -> list[str]:
        """Devices whose refused points are to be tried again, each once in `RECHECK_S`."""
        due = [i for i, found in self._devices.items()
               if found.refused and now_s - self._checked_s.setdefault(i, now_s) >= RECHECK_S]
        self._checked_s |= dict.fromkeys(due, now_s)
        return due

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of the devices of which something is known."""
        return tuple(self._devices)

    def save(self) -> None:
        """Write the file, whole or not at all. Raises OSError."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(self._devices))
        temporary.replace(self._path)


def _read(path: Path) -> dict[str, Refusals]:
    """What cannot be read is learnt again: it costs a few requests."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Refusals])
    except (OSError, msgspec.MsgspecError):
        return {}


def fingerprint(site: Site, device: Device) -> str:
    """Names the addresses of a device's points."""
    points = site.points[device.first_point : device.first_point + device.point_count]
    told: list[Any] = [[p.id, msgspec.to_builtins(p.address)] for p in points]
    return hashlib.blake2b(json.dumps([device.unit, told], sort_keys=True).encode(), digest_size=8).hexdigest()
