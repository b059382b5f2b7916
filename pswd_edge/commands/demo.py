"""`pswd-edge demo`: the simulated campus under control, from one command."""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pswd_edge.app import compiled_site, rows_dir
from pswd_edge.commands.demo_result import Result, result_of
from pswd_edge.commands.demo_table import Screen
from pswd_edge.errors import ImageError, PswdError
from pswd_edge.gateway.users import add_user
from pswd_edge.image import ImageReader
from pswd_edge.log import configure_log
from pswd_edge.model.command import Mode
from pswd_edge.model.site import Site
from pswd_edge.supervisor import Supervisor, site_children
from simulators.broker import Broker

ROLES = ("infrastructure_manager", "workload_operator", "grid_operator", "municipal_utility")
_SECRETS = ("snmp-auth", "snmp-priv", "snmp-community")
_READY_S, _AUTO_S = 30.0, 30.0
_LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--seconds", type=float, default=0.0, help="end by itself after so long; 0: until Ctrl-C")
    parser.add_argument("--seed", type=int, default=1, help="moves the events of the scenario by up to 2 s")
    parser.add_argument("--folder", type=Path, default=Path("var/demo"), help="secrets, users, ledger, logs")
    parser.add_argument("--site", type=Path, default=Path("config/demo.yaml"))
    parser.add_argument("--http-port", type=int, default=int(os.environ.get("PSWD_HTTP_PORT", "8080")))
    parser.add_argument("--quiet", action="store_true", help="no live table")


def run(options: argparse.Namespace) -> int:
    """0 where every limit held; the last line printed is the summary as JSON."""
    configure_log("error")
    found = asyncio.run(_demo(options))
    print(json.dumps(found.summary), flush=True)
    for line in found.broken:
        print(line, file=sys.stderr)
    return 0 if found.summary["ok"] else 1


async def _demo(options: argparse.Namespace) -> Result:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    folder = _fresh_folder(options.folder)
    async with Broker() as broker, contextlib.AsyncExitStack() as stack:
        runtime = _environment(folder, options.http_port, broker)
        stack.callback(shutil.rmtree, runtime, ignore_errors=True)
        users = _users(folder / "state")
        site = compiled_site(options.site)
        _write_access(folder, site, users, broker)
        campus = await stack.enter_async_context(_simulators(options.site, options.seed, folder))
        image = await stack.enter_async_context(_supervised(options.site, site, folder))
        await _until_auto(image, stop)
        started_s = time.monotonic()
        await campus.ask("start", True)
        screen = Screen(site, broker, options.http_port, quiet=options.quiet)
        await _watch(screen, image, started_s, options.seconds, stop)
        truth = await campus.ask("summary", True)
        return result_of(site, image, rows_dir(Path(site.runtime_dir)), truth, time.monotonic() - started_s)


# --- what the site finds when it starts -------------------------------------------------------------------------------


def _fresh_folder(folder: Path) -> Path:
    """An empty folder of the demo's own: old users, secrets and ledgers do not live on."""
    folder = folder.resolve()
    if folder.exists() and not (folder / "demo").exists() and any(folder.iterdir()):
        raise PswdError(f"{folder}: is not a folder of an earlier demo: expected an empty one; give another --folder")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "secrets").mkdir(parents=True, mode=0o700)
    (folder / "demo").touch()
    for name in _SECRETS:
        _private(folder / "secrets" / name, secrets.token_urlsafe(18))
    return folder


def _private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _environment(folder: Path, http_port: int, broker: Broker) -> Path:
    """Set what config/demo.yaml and the child processes read; returns the runtime folder, on tmpfs where there is one."""
    _private(folder / "secrets" / "mqtt", broker.password)
    shared = Path("/dev/shm")  # noqa: S108  # tmpfs: the image belongs in memory
    base = shared if os.access(shared, os.W_OK) else folder
    runtime = base / f"pswd-edge-demo-{os.getpid()}"
    runtime.mkdir(mode=0o700)
    os.environ |= {
        "PSWD_STATE_DIR": str(folder / "state"), "PSWD_RUNTIME_DIR": str(runtime),
        "PSWD_SECRETS_DIR": str(folder / "secrets"), "PSWD_HTTP_PORT": str(http_port),
        "PSWD_MQTT_PORT": str(broker.port), "PSWD_LOG_DIR": str(folder), "PSWD_MQTT_VERSION": broker.version}
    return runtime


def _users(state_dir: Path) -> list[dict[str, str]]:
    users = [{"username": f"demo-{role.replace('_', '-')}", "password": secrets.token_urlsafe(12), "role": role}
             for role in ROLES]
    for user in users:
        add_user(state_dir, user["username"], user["password"], [user["role"]])
    return users


def _write_access(folder: Path, site: Site, users: list[dict[str, str]], broker: Broker) -> None:
    """Everything that a client needs, readable by this user alone."""
    listener = site.listeners[0]
    protocols = {d.id: site.connections[d.connection].driver for d in site.devices}
    _private(folder / "access.json", json.dumps({
        "facility_id": site.facility_id, "site_id": site.id,
        "profiles": {"pswd": f"http://{listener.host}:{listener.port}/v1"}, "users": users,
        "mqtt": {"host": "127.0.0.1", "port": broker.port, "username": broker.username, "password": broker.password},
        "devices": [{"device_id": d.id, "kind": d.kind, "protocol": protocols[d.id]} for d in site.devices]}, indent=1))


# --- the processes ----------------------------------------------------------------------------------------------------


class Campus:
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
async def _simulators(site: Path, seed: int, folder: Path) -> AsyncIterator[Campus]:
    path = Path(os.environ["PSWD_RUNTIME_DIR"]) / "campus.sock"
    words = ["-m", "simulators", "--site", str(site), "--seed", str(seed), "--control", str(path), "--scenario", "demo"]
    with (folder / "simulators.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True)
    try:
        assert process.stdout is not None  # piped above
        line = await asyncio.wait_for(process.stdout.readline(), _READY_S)
        if not line.startswith(b"ready"):
            why = (folder / "simulators.log").read_text()[-500:]
            raise PswdError(f"simulators did not start: {why.strip() or line!r}; a port of {site} may be in use")
        campus = Campus(*await asyncio.open_unix_connection(str(path)))
        yield campus
        campus.close()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def _supervised(path: Path, site: Site, folder: Path) -> AsyncIterator[ImageReader]:
    """Control and gateway under the supervisor, as `pswd-edge run` starts them; ends with both stopped."""
    supervisor = Supervisor(site_children(path, Path(site.runtime_dir), Path(site.state_dir)))
    task = asyncio.create_task(supervisor.run())
    try:
        async with asyncio.timeout(_READY_S):
            if not await supervisor.ready():
                raise PswdError(f"control or gateway did not start; see {folder}/*.log")
        yield ImageReader(Path(site.runtime_dir))
    finally:
        supervisor.stop()
        await task


async def _until_auto(image: ImageReader, stop: asyncio.Event) -> None:
    """Return when control is in AUTO: all inputs were good for as long as the site wants."""
    ends_s = time.monotonic() + _AUTO_S
    while not stop.is_set():
        report = image.report()
        if report is not None and report.mode is Mode.AUTO:
            return
        if time.monotonic() > ends_s:
            raise PswdError(f"control is not in AUTO after {_AUTO_S:g} s: {report.mode_reason if report else 'no cycle yet'}")
        await asyncio.sleep(0.1)


async def _watch(screen: Screen, image: ImageReader, started_s: float, seconds: float, stop: asyncio.Event) -> None:
    with screen:
        while not stop.is_set() and (not seconds or time.monotonic() - started_s < seconds):
            with contextlib.suppress(ImageError):
                image.follow()
                screen.show(image, time.monotonic() - started_s)
            left_s = seconds - (time.monotonic() - started_s) if seconds else _LOOK_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, min(_LOOK_S, left_s)))
