"""What the tests of requests, ledger and desk share: the demo's site, facts of a quiet cycle, requests."""

from itertools import count
from pathlib import Path

from msgspec.structs import replace
from virtual import demo_site

from pswd_edge.clock import FakeClock
from pswd_edge.control.desk import Desk
from pswd_edge.control.facts import Facts
from pswd_edge.control.ledger import Ledger
from pswd_edge.control.rules.law import range_of
from pswd_edge.model.command import (
    Announce,
    ControlWorkload,
    Level,
    Mode,
    Outcome,
    Request,
    SetBatteryTarget,
    SetLimit,
    SetMode,
    SetPoint,
)
from pswd_edge.model.site import Site
from pswd_edge.model.workload import Announcement, Headroom, Offer, Workload

SITE = demo_site()
SPEC = SITE.control
CLOCK_UTC_S = FakeClock().utc_s()
CAP = "rack-1.power_cap_w"
POINT = SITE.point_index[CAP]
_ids = count(1)


def facts(**changes: object) -> Facts:
    """AUTO, batteries at 5 MW discharge (load 65 MW, reference 60 MW), 90 MW either way, and 100 MW of headroom."""
    settings = {
        "cycle": 41, "utc_s": CLOCK_UTC_S, "mode": Mode.AUTO, "ready": "", "reference_w": 60e6, "filtered_w": 65e6,
        "discharge_available_w": 90e6, "charge_available_w": 80e6, "limits": range_of(SPEC, SPEC.load_ceiling_w),
        "headroom": Headroom(100e6, 100e6, 100e6),
    }
    return Facts(**{**settings, **changes})


def _envelope(changes: dict[str, object]) -> dict[str, object]:
    return {"id": f"r-{next(_ids)}", "origin": "api:alice", "role": "infrastructure_manager",
            "issued_utc_s": CLOCK_UTC_S, "ttl_s": 60.0, **changes}


def set_mode(mode: Mode = Mode.MANUAL, **changes: object) -> SetMode:
    return SetMode(**_envelope(changes), mode=mode)


def set_point(value: float | None, point: str = CAP, **changes: object) -> SetPoint:
    return SetPoint(**_envelope(changes), point=point, value=value)


def target(power_w: float | None, ramp_w_per_s: float = 0.0, **changes: object) -> SetBatteryTarget:
    return SetBatteryTarget(**_envelope(changes), power_w=power_w, ramp_w_per_s=ramp_w_per_s)


def limit_request(name: str, value: float | None, emergency: bool = False, **changes: object) -> SetLimit:
    return SetLimit(**_envelope(changes), name=name, value=value, emergency=emergency)


def announcement(name: str = "wl-1", **changes: object) -> Announcement:
    settings = {"workload_id": name, "kind": "ai_training", "peak_w": 10e6, "baseline_w": 1e6, "ramp_w_per_s": 0.0,
                "can_throttle": True, "duration_s": 3600}
    return Announcement(**{**settings, **changes})


def announce(name: str = "wl-1", *, workload: dict[str, object] | None = None, offer: Offer | None = None,
             **changes: object) -> Announce:
    return Announce(**_envelope(changes), workload=announcement(name, **(workload or {})), offer=offer)


def order(action: str, name: str = "wl-1", **changes: object) -> ControlWorkload:
    own = {k: changes.pop(k) for k in ("target_w", "ramp_w_per_s", "pause_s", "migration_target") if k in changes}
    return ControlWorkload(**_envelope(changes), workload_id=name, action=action, **own)


class Room:
    """A desk with its ledger, on a fake clock; `restart` is a new process on the same disk."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, FakeClock()
        self.known: dict[str, object] = {}
        self.site: Site = SITE

    async def start(self) -> None:
        self.ledger = Ledger(self.folder / "ledger.sqlite")
        self.desk = Desk(self.site, self.ledger, self.clock, self.facts)
        self.restored = await self.desk.restore()

    async def restart(self, after_s: float = 0.0) -> None:
        await self.ledger.close()
        self.clock.advance(after_s)
        await self.start()

    def facts(self) -> Facts:
        return facts(utc_s=self.clock.utc_s(), **self.known)

    async def ask(self, request: Request, level: Level = Level.API) -> Outcome:
        return await self.desk.handle(replace(request, issued_utc_s=self.clock.utc_s()), level)

    def later(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        return self.desk.expire(self.clock.monotonic_s())

    def job(self, name: str = "wl-1") -> Workload:
        return self.desk.workloads[name]

    def values(self) -> list[float]:
        return [c.value for c in self.desk.candidates()]
