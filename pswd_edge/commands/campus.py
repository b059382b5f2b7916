"""A simulated site with everything that it needs: secrets, users, broker, simulators, control and gateway.

The demo and the benchmarks run it; nothing here is needed on a gateway.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pswd_edge.app import compiled_site
from pswd_edge.commands.campus_access import write_access, write_text
from pswd_edge.control.commissioned import record_all
from pswd_edge.errors import PswdError
from pswd_edge.gateway.users import add_user
from pswd_edge.image import ImageReader
from pswd_edge.model.command import Mode
from pswd_edge.model.site import Site
from pswd_edge.supervisor import Supervisor, site_children
from simulators.broker import Broker, free_port

ROLES = ("infrastructure_manager", "workload_operator", "grid_operator", "municipal_utility")
_SECRETS = ("snmp-auth", "snmp-priv", "snmp-community", "grid-operator")
_READY_S, _AUTO_S = 60.0, 30.0


class Rig(NamedTuple):
    """A running site; `users` have username, password and role, `folder` the logs and access.json."""

    site: Site
    image: ImageReader
    simulators: "Simulators"
    broker: Broker
    users: list[dict[str, str]]
    folder: Path
    supervisor: Supervisor


class Simulators:
    """The control channel of the simulators: one JSON object a line, question and answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, command: str, argument: Any) -> dict[str, Any]:
        """One command; raises PswdError where the simulators refuse it."""
        self._writer.write(json.dumps({command: argument}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(self._reader.readline(), 10.0))
        if "error" in answer:
            raise PswdError(f"simulators: {answer['error']}")
        return answer

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@asynccontextmanager
async def running_site(
    path: Path, folder: Path, http_port: int, simulator_words: Sequence[str] = (), *, https_port: int | None = None,
    simulated: Path | None = None, prepare: Callable[[Site], object] = lambda _: None
) -> AsyncIterator[Rig]:
    """Start everything and wait for READY; stop everything at the end. `folder` is made anew.

    `https_port` is DCPI's; without it a free one. `simulated` is the site file whose devices are simulated here, where
    others are beside them; `prepare` is called with the compiled site before control starts.
    """
    folder = _fresh_folder(folder)
    async with Broker() as broker, contextlib.AsyncExitStack() as stack:
        stack.enter_context(_environment(folder, http_port, https_port or free_port(), broker))
        users = _users(folder / "state")
        site = compiled_site(path)
        write_access(folder, site, users, broker)
        record_all(site, Path(site.state_dir), "demo", time.time(), "simulated")  # nothing here can be damaged
        simulators = await stack.enter_async_context(_simulators(simulated or path, folder, simulator_words))
        prepare(site)
        supervisor = await stack.enter_async_context(_supervised(path, site, folder))
        yield Rig(site, ImageReader(Path(site.runtime_dir)), simulators, broker, users, folder, supervisor)


async def until_auto(rig: Rig, stop: asyncio.Event | None = None) -> None:
    """Return when control is in AUTO: all inputs were good for as long as the site wants."""
    ends_s = time.monotonic() + _AUTO_S
    while stop is None or not stop.is_set():
        report = rig.image.report()
        if report is not None and report.mode is Mode.AUTO:
            return
        if time.monotonic() > ends_s:
            why = "no cycle yet" if report is None else report.mode_reason
            raise PswdError(f"control is not in AUTO after {_AUTO_S:g} s: {why}; see {rig.folder}/control.log")
        await asyncio.sleep(0.1)


# --- what the site finds when it starts -------------------------------------------------------------------------------


def _fresh_folder(folder: Path) -> Path:
    """An empty folder of its own: old users, secrets and ledgers do not live on."""
    folder = folder.resolve()
    if folder.exists() and not (folder / ".pswd-demo").exists() and any(folder.iterdir()):
        raise PswdError(f"{folder}: is not a folder of an earlier demo: expected an empty one; give another --folder")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "secrets").mkdir(parents=True, mode=0o700)
    (folder / ".pswd-demo").touch()
    for name in _SECRETS:
        write_text(folder / "secrets" / name, secrets.token_urlsafe(18))
    return folder


@contextmanager
def _environment(folder: Path, http_port: int, https_port: int, broker: Broker) -> Iterator[Path]:
    """Set what config/demo.yaml and the processes read, and take it back; the image goes to tmpfs if there is one."""
    write_text(folder / "secrets" / "mqtt", broker.password)
    shared = Path("/dev/shm")  # noqa: S108  # tmpfs: the image belongs in memory
    base = shared if os.access(shared, os.W_OK) else folder
    runtime = base / f"pswd-edge-demo-{os.getpid()}"
    runtime.mkdir(mode=0o700)
    set_here = {
        "PSWD_STATE_DIR": str(folder / "state"), "PSWD_RUNTIME_DIR": str(runtime),
        "PSWD_SECRETS_DIR": str(folder / "secrets"), "PSWD_HTTP_PORT": str(http_port), "PSWD_LOG_DIR": str(folder),
        "PSWD_HTTPS_PORT": str(https_port), "PSWD_TLS_DIR": str(folder / "tls"),
        "PSWD_MQTT_PORT": str(broker.port), "PSWD_MQTT_VERSION": broker.version,
        "PSWD_OPERATOR_PORT": os.environ.get("PSWD_OPERATOR_PORT") or str(free_port())}
    os.environ |= set_here
    try:
        yield runtime
    finally:
        for name in set_here:
            os.environ.pop(name, None)
        shutil.rmtree(runtime, ignore_errors=True)


def _users(state_dir: Path) -> list[dict[str, str]]:
    users = [{"username": f"demo-{role.replace('_', '-')}", "password": secrets.token_urlsafe(12), "role": role}
             for role in ROLES]
    for user in users:
        add_user(state_dir, user["username"], user["password"], [user["role"]])
    return users


# --- the processes ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _simulators(site: Path, folder: Path, words: Sequence[str]) -> AsyncIterator[Simulators]:
    path = Path(os.environ["PSWD_RUNTIME_DIR"]) / "campus.sock"
    command = ["-m", "simulators", "--site", str(site), "--control", str(path), *words]
    with (folder / "simulators.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True)
    try:
        assert process.stdout is not None  # piped above
        line = await asyncio.wait_for(process.stdout.readline(), _READY_S)
        if not line.startswith(b"ready"):
            why = (folder / "simulators.log").read_text()[-500:]
            raise PswdError(f"simulators did not start: {why.strip() or line!r}; a port of {site} may be in use")
        simulators = Simulators(*await asyncio.open_unix_connection(str(path)))
        try:
            yield simulators
        finally:
            simulators.close()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def _supervised(path: Path, site: Site, folder: Path) -> AsyncIterator[Supervisor]:
    """Control and gateway under the supervisor, as `pswd-edge run` starts them; ends with both stopped."""
    supervisor = Supervisor(site_children(path, Path(site.runtime_dir), Path(site.state_dir)))
    task = asyncio.create_task(supervisor.run())
    try:
        async with asyncio.timeout(_READY_S):
            if not await supervisor.ready():
                raise PswdError(f"control or gateway did not start; see {folder}/control.log and gateway.log")
        yield supervisor
    finally:
        supervisor.stop()
        await task
