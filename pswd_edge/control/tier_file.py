"""`state_dir/tiers.json`: which loads are shed, over a restart. Read at the start, written by a thread of its own."""

import math
from collections.abc import Callable
from pathlib import Path

import msgspec

from pswd_edge.clock import Clock
from pswd_edge.control.rules.remembered import taken_up
from pswd_edge.control.rules.tiers import ShedState, TierState
from pswd_edge.control.state_file import StateFile
from pswd_edge.model.kept import KeptTier, KeptTiers
from pswd_edge.model.site import Site

FILE = "tiers.json"
Tell = Callable[[str, str, str, str], None]


class TierFile:
    """What a restart must not forget of the tiers. `note` may be called in each cycle: it never waits.

    Without a path nothing is kept: in shadow mode, where nothing is shed either.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._file = None if path is None else StateFile(path, "tiers")
        self._clock = clock
        self._written: tuple[object, ...] | None = None
        self._noted: tuple[Site, ShedState] | None = None

    @property
    def trouble(self) -> str:
        """Why the last write failed; empty where it did not."""
        return self._file.trouble if self._file else ""

    def take_up(self, site: Site, tell: Tell) -> ShedState:
        """The tiers as a former process left them. Reads the disk: before the loop.

        Without a file, or with one that is of no use, nothing is remembered (`unknown`): then the devices are asked
        what they hold, while control observes.
        """
        kept, why = self._read(site.id)
        names = [site.points[t.setpoint].id for t in site.control.tiers]
        tiers = {} if kept is None else {t.id: t for t in kept.tiers}
        found = taken_up(site.control, names, tiers, self._clock.monotonic_s(), self._clock.utc_s())
        if why:
            tell("warning", "tiers_unknown", "site", f"{why}. Caps are taken as their devices hold them; look whether "
                 "outlets and limits are as they should be")
        for tier, state in zip(site.control.tiers, found.tiers, strict=True):
            if state.engaged:
                tell("info", "tier", tier.id, f"{tier.id}: still shed, {state.shed_w / 1e6:.1f} MW less")
        return found._replace(unknown=kept is None and self._file is not None)

    def _read(self, site: str) -> tuple[KeptTiers | None, str]:
        """What was kept, or why it cannot be used; neither where there is no file."""
        if self._file is None:
            return None, ""
        name = self._file.path.name
        try:
            kept = msgspec.json.decode(self._file.path.read_bytes(), type=KeptTiers)
        except FileNotFoundError:
            return None, ""
        except (OSError, msgspec.MsgspecError) as error:
            return None, f"{name} cannot be read ({error}); expected what control wrote"
        return (kept, "") if kept.site == site else (None, f"{name} is of site {kept.site!r}; expected {site!r}")

    def note(self, site: Site, shed: ShedState) -> None:
        """Have the tiers written down where one has changed."""
        self._noted = site, shed
        now = tuple([(t.engaged, t.since_s, t.cap_w, t.before_w) for t in shed.tiers])
        if self._file is None or shed.unknown or (now == self._written and not self._file.trouble):
            return
        last = self._kept(site, shed)
        if self._file.replace(lambda: _content(last)):
            self._written = now

    def _kept(self, site: Site, shed: ShedState) -> KeptTiers:
        utc_s = self._clock.utc_s()
        begin_s = utc_s - self._clock.monotonic_s()
        return KeptTiers(site.id, utc_s, tuple([
            _tier(t.id, site.points[t.setpoint].id, s, begin_s)
            for t, s in zip(site.control.tiers, shed.tiers, strict=True) if math.isfinite(s.since_s)]))

    def close(self) -> None:
        """Write what was noted last, and wait for it. Blocks on the disk."""
        if self._file is not None and self._noted is not None and not self._noted[1].unknown:
            last = self._kept(*self._noted)
            self._file.close(lambda: _content(last))


def _tier(id_: str, setpoint: str, found: TierState, begin_utc_s: float) -> KeptTier:
    return KeptTier(id_, setpoint, found.engaged, begin_utc_s + found.since_s, found.before_w, found.cap_w,
                    tuple([begin_utc_s + at for at in found.recent_s]))


def _content(kept: KeptTiers) -> bytes:
    return msgspec.json.format(msgspec.json.encode(kept), indent=1)
