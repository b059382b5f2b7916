"""The gateway: opens the image, makes services and profiles, serves every listener of the site."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

import structlog

from pswd_edge.clock import Clock, SystemClock
from pswd_edge.door import GATEWAY_SOCKET, DoorClient
from pswd_edge.errors import ConfigError, ImageError
from pswd_edge.gateway.auth import ADD_USER
from pswd_edge.gateway.guard import open_guard
from pswd_edge.gateway.identity import Identity
from pswd_edge.gateway.listening import Listening, open_listener
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.middleware import traceback_of
from pswd_edge.gateway.profile import Profile
from pswd_edge.gateway.profiles.dcpi.profile import DcpiProfile
from pswd_edge.gateway.profiles.edge.profile import EdgeProfile
from pswd_edge.gateway.profiles.pswd.profile import PswdProfile
from pswd_edge.gateway.services import Services, open_services
from pswd_edge.gateway.services.dispatch import Door
from pswd_edge.gateway.store import Store

NICENESS = 15              # control goes first on a busy machine
_LOOK_S = 1.0
_IMAGE_RETRY_S = 0.5
_LOG = structlog.get_logger("pswd_edge.gateway")


class Gateway:
    """Everything that faces the network, over one image and one door."""

    def __init__(self, live: LiveImage, door: Door, state_dir: Path, clock: Clock | None = None) -> None:
        """Open users and signing key; raises SecretError where they cannot be used."""
        self._clock = clock or SystemClock()
        self._live = live
        store = Store(state_dir)
        self.services: Services = open_services(live, door, self._clock, store)
        self.guard = open_guard(live.site.api_limits, state_dir, store, self._clock)
        self.services.health.watch(lambda: self.guard.audit.trouble)
        self._identity = Identity.open(state_dir, live.site, self._clock, self.services.security.intrusions)
        self.listening: list[Listening] = []
        self._jobs: list[asyncio.Task[None]] = []
        self._auditing: asyncio.Task[None] | None = None
        self._offer_setup()

    async def open(self, rows_folder: Path) -> None:
        """Serve the site's listeners; raises ConfigError where one cannot be, with none left open."""
        self._live.listen(rows_folder)
        profiles: dict[str, Profile] = {"pswd": PswdProfile(self.services, self._identity.users),
                                        "dcpi": DcpiProfile(self.services, self._identity.clients),
                                        "edge": EdgeProfile(self.services, self._identity.users)}
        self._auditing = asyncio.create_task(self.guard.audit.run(), name="audit")
        try:
            for listener in self._live.site.listeners:
                self.listening.append(await open_listener(listener, profiles, self.services, self.guard))
                _LOG.info("listening", host=listener.host, port=self.listening[-1].port, profiles=listener.profiles)
        except ConfigError:
            await self.close()
            raise
        self._jobs = [asyncio.create_task(job(), name=name) for name, job in self.services.jobs().items()]
        for job in (self._auditing, *self._jobs):
            job.add_done_callback(_tell_end)

    def _offer_setup(self) -> None:
        """Without a user: say so, with a one-time token where a listener takes it. The log is its only place."""
        token = self._identity.users.offer_setup()
        if token is None:
            return
        reachable = any("edge" in listener.profiles for listener in self._live.site.listeners)
        more = {"setup_token": token, "or": "POST /edge/setup with it, within an hour"} if reachable else {}
        _LOG.warning("no users: every login is refused", next=f"add one with: {ADD_USER}", **more)

    async def watch(self, on_look: Callable[[], object] = lambda: None) -> None:
        """Once a second, for ever: follow the image, note whether control lives, keep workload figures, `on_look`."""
        while True:
            self._live.follow()
            self.services.meter.looked(alive=self._live.alive)
            self.services.workloads.look()
            self.services.realtime.look()
            self.services.history.look()
            self._identity.users.look()
            self.services.grid.look()
            self.guard.audit.look()
            on_look()
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Finish what is being answered, then end."""
        await self.services.hub.close()
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        for listening in self.listening:
            await listening.close()
        self.listening = []
        await self.guard.audit.close(self._auditing)
        await self.services.close()
        self._identity.close()
        self._live.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _tell_end(job: asyncio.Task[None]) -> None:
    """A job ends only when it is cancelled; all else is a defect that must not pass in silence."""
    if not job.cancelled() and (error := job.exception()) is not None:
        _LOG.error("a job of the gateway has ended; what it does is missing until a restart", job=job.get_name(),
                   traceback=traceback_of(error))


async def run_gateway(
    runtime_dir: Path,
    state_dir: Path,
    rows_dir: Path,
    *,
    notify: Callable[[str], object] = lambda _: None,
    niceness: int = NICENESS,
) -> None:
    """The gateway process, until it is cancelled.

    Args:
        runtime_dir: holds image, compiled site and door; waited for as long as control has not made them.
        state_dir: the gateway's own: users and signing key.
        rows_dir: where the gateway binds its row socket, which control's bell rings.
        notify: told "READY=1" once and "WATCHDOG=1" each second (systemd's words).
        niceness: how far the process lowers itself; 0 leaves it as it is.

    Raises:
        ConfigError, SecretError: a listener, the users or the key cannot be used.
    """
    if niceness:
        os.nice(niceness)
    live = await wait_for_image(runtime_dir)
    door = DoorClient(runtime_dir / GATEWAY_SOCKET)
    async with Gateway(live, door, state_dir) as gateway:
        await gateway.open(rows_dir)
        notify("READY=1")
        try:
            await gateway.watch(lambda: notify("WATCHDOG=1"))
        finally:
            door.close()


async def wait_for_image(runtime_dir: Path) -> LiveImage:
    """The image, as soon as control has made one; logs once that it waits."""
    told = False
    while True:
        try:
            return LiveImage(runtime_dir)
        except ImageError as error:
            if not told:
                _LOG.warning("waiting for the control process", reason=str(error))
            told = True
            await asyncio.sleep(_IMAGE_RETRY_S)
