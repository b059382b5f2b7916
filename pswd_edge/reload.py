"""A changed site file, taken up while control runs: only the difference, and back again where it does not work.

The file is compiled by another process (YAML would hold up the cycle), planned in a thread, and switched to between
two cycles. Devices that did not change miss no scan. An invalid file changes nothing.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from pswd_edge.control.cycle import ControlCycle
from pswd_edge.control.journal import Journal
from pswd_edge.control.succession import difference, shadowed, why_restart
from pswd_edge.control.watched import actuated_points, watched_points
from pswd_edge.errors import ConfigError, SecretError
from pswd_edge.field.field import Field
from pswd_edge.field.siteplan import SitePlan
from pswd_edge.image import ImageWriter
from pswd_edge.model.site import Site, decode_site, encode_site, site_hash

HEALTH_S = 10.0               # after the switch: connections that answered must answer, new ones must have been made
_LOOK_S = 0.25
_COMPILE_S = 60.0


class Verdict(NamedTuple):
    """What came of a reload: `taken` False: nothing was changed."""

    taken: bool
    text: str


class Reloader:
    """One at a time; whoever asks meanwhile waits for a turn. `shadow`: whatever the file says, nothing is written."""

    def __init__(self, path: Path, site: Site, field: Field, cycle: ControlCycle, image: ImageWriter,
                 journal: Journal, *, shadow: bool = False) -> None:
        self._path, self._site, self._field, self._cycle = path, site, field, cycle
        self._image, self._journal, self._shadow = image, journal, shadow
        self._turn = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None
        self._asked: asyncio.Task[Verdict] | None = None

    def hangup(self) -> None:
        """SIGHUP came. Its outcome is an event."""
        self._asked = asyncio.create_task(self.reload("SIGHUP"), name="reload")

    async def reload(self, origin: str) -> Verdict:
        """Take up the file as it is now; returns when the new site is in force, or why it is not."""
        async with self._turn:
            try:
                verdict = await self._reload(origin)
            except (ConfigError, SecretError, OSError) as error:
                verdict = Verdict(False, str(error))
        if not verdict.taken:
            self._journal.tell("warning", "reload_refused", "site", f"{origin}: {verdict.text}; nothing was changed")
        return verdict

    async def _reload(self, origin: str) -> Verdict:
        site = await asyncio.to_thread(compile_apart, self._path)
        site = shadowed(site) if self._shadow else site
        if site_hash(encode_site(site)) == site_hash(encode_site(self._site)):
            return Verdict(True, "the file says what is in force already")
        restart = why_restart(self._site, site)
        if restart:
            return Verdict(False, f"{restart} changed: takes effect with a restart of control only")
        old, told = self._site, difference(self._site, site)
        well = _well(self._field, old)
        await self._switch(site)
        self._journal.tell("info", "reloaded", "site", f"{origin}: {told}; watched for {HEALTH_S:g} s")
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.create_task(self._watch_health(old, site, well), name="reload health")
        return Verdict(True, told)

    async def _switch(self, site: Site) -> None:
        plan = await self._field.prepare(site, watched_points(site))
        image = await asyncio.to_thread(ImageWriter, Path(site.runtime_dir), site, self._image)
        done = asyncio.get_running_loop().create_future()
        self._cycle.between_cycles(lambda: done.set_result(self._take(site, plan, image)))
        await self._field.close(await done)
        self._field.start()

    def _take(self, site: Site, plan: SitePlan, image: ImageWriter) -> list[asyncio.Task[None]]:
        """The switch itself, between two cycles: field, control and image together."""
        gone = self._field.switch(plan, actuated_points(site))
        image.catch_up(self._image)
        self._cycle.succeed(site, image)
        image.publish()
        self._site, self._image = site, image
        return gone

    async def _watch_health(self, old: Site, new: Site, well: frozenset[str]) -> None:
        """Go back where what worked before does not work any more, or what is new does not answer."""
        due_s, bad = time.monotonic() + HEALTH_S, ""
        while time.monotonic() < due_s:
            await asyncio.sleep(_LOOK_S)
            bad = _failing(self._field, old, new, well)
            if not bad:
                break
        if not bad:
            self._journal.tell("info", "reload_works", "site", "what was well is well under the new site, and new "
                               "connections answer")
            return
        async with self._turn:
            if self._site is not new:
                return
            await self._switch(old)
        self._journal.tell("alarm", "reload_undone", "site", f"{bad} after {HEALTH_S:g} s: the former site is in force "
                           "again; mend the file or the device and reload")


def _well(field: Field, site: Site) -> frozenset[str]:
    """Connections that answer and devices of which every point is good, by name."""
    devices = field.report(time.time()).devices
    return frozenset([f"connection {p.connection.id}" for p in field.pollers.values() if p.healthy]
                     + [f"device {site.devices[d.device].id}" for d in devices if d.points_not_good == 0])


def _failing(field: Field, old: Site, new: Site, well: frozenset[str]) -> str:
    """What was well and is no longer, and new connections that do not answer; empty where there are none."""
    named = {f"connection {c.id}" for c in new.connections} | {f"device {d.id}" for d in new.devices}
    fresh = {f"connection {c.id}" for c in new.connections} - {f"connection {c.id}" for c in old.connections}
    wrong = sorted(((well & named) | fresh) - _well(field, new))
    return f"not well: {', '.join(wrong)}" if wrong else ""


def compile_apart(path: Path) -> Site:
    """Compile a site file in another process, at ordinary priority. Blocks: call it in a thread.

    Raises ConfigError with every mistake.
    """
    _be_ordinary()
    with tempfile.TemporaryDirectory(prefix="pswd-reload-") as folder:
        out = Path(folder) / "site.bin"
        done = subprocess.run(  # noqa: S603  # our own module, with the path that control was started with
            [sys.executable, "-m", "pswd_edge", "check", str(path), "--compiled", str(out)],
            capture_output=True, text=True, timeout=_COMPILE_S, check=False)
        if done.returncode != 0:
            raise ConfigError((done.stdout + done.stderr).strip().splitlines()[-20:] or ["it could not be compiled"])
        return decode_site(out.read_bytes())


def _be_ordinary() -> None:
    """This thread, and the process that it starts, must not run at the cycle's real-time priority."""
    try:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError:
        return  # the unit's CPUSchedulingResetOnFork has seen to it
