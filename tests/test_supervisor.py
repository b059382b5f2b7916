"""The supervisor on tiny children, and what they send to it."""

import asyncio
import os
import signal
import socket
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pswd_edge.supervisor import Child, RestartRule, Supervisor, site_children
from pswd_edge.systemd import notify

PRELUDE = """
import os, signal, socket, sys, time
def say(message):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(message.encode(), os.environ["NOTIFY_SOCKET"])
def note(text):
    with open({log!r}, "a") as file:
        file.write(text + "\\n")
def beat(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        say("WATCHDOG=1")
        time.sleep(0.02)
"""


def child(tmp_path: Path, name: str, body: str, **settings: float) -> Child:
    script = tmp_path / f"{name}.py"
    script.write_text(PRELUDE.format(log=str(tmp_path / "log")) + textwrap.dedent(body))
    return Child(name, (sys.executable, "-S", "-E", str(script)), **({"stop_s": 2.0} | settings))


def log(tmp_path: Path) -> list[str]:
    file = tmp_path / "log"
    return file.read_text().splitlines() if file.exists() else []


async def until(condition: Callable[[], bool], timeout_s: float = 8.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "did not come true in time"
        await asyncio.sleep(0.01)


FAITHFUL = """
note("start NAME")
def stop(*_):
    time.sleep(0.1)
    note("stop NAME")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
say("READY=1\\nSTATUS=fine NAME")
beat(60)
"""


async def test_children_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    """The gateway reads what control makes: it starts after control is ready, and leaves before control does."""
    supervisor = Supervisor([child(tmp_path, name, FAITHFUL.replace("NAME", name)) for name in ("control", "gateway")])
    running = asyncio.create_task(supervisor.run())
    assert await supervisor.ready()
    assert [u.status for u in supervisor.units.values()] == ["fine control", "fine gateway"]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert log(tmp_path) == ["start control", "start gateway", "stop gateway", "stop control"]
    assert {u.state for u in supervisor.units.values()} == {"stopped"}


async def test_second_child_waits_until_the_first_is_ready(tmp_path: Path) -> None:
    """A gateway without an image can only fail."""
    slow = 'note("start slow")\ntime.sleep(0.4)\nnote("ready slow")\nsay("READY=1")\nbeat(60)'
    supervisor = Supervisor([child(tmp_path, "slow", slow), child(tmp_path, "b", FAITHFUL.replace("NAME", "b"))])
    running = asyncio.create_task(supervisor.run())
    assert await supervisor.ready()
    supervisor.stop()
    await running
    assert log(tmp_path)[:3] == ["start slow", "ready slow", "start b"]


async def test_child_that_falls_silent_is_killed_and_started_again(tmp_path: Path) -> None:
    """A process that hangs looks alive to everything but its watchdog."""
    body = 'note("start")\nsay("READY=1")\nbeat(0.1)\ntime.sleep(60)'
    silent = child(tmp_path, "silent", body, watchdog_s=0.3)
    supervisor = Supervisor([silent], RestartRule(first_s=0.01))
    running = asyncio.create_task(supervisor.run())
    await until(lambda: len(log(tmp_path)) >= 3)
    unit = supervisor.units["silent"]
    assert unit.restarts >= 2
    assert unit.reason == "no WATCHDOG=1 for 0.3 s; killed"
    supervisor.stop()
    await running


async def test_child_that_beats_is_left_alone(tmp_path: Path) -> None:
    """The watchdog must not shoot the living."""
    steady = child(tmp_path, "steady", 'note("start")\nsay("READY=1")\nbeat(60)', watchdog_s=0.3)
    supervisor = Supervisor([steady])
    running = asyncio.create_task(supervisor.run())
    assert await supervisor.ready()
    await asyncio.sleep(1.0)
    assert supervisor.units["steady"].restarts == 0
    supervisor.stop()
    await running
    assert log(tmp_path) == ["start"]


async def test_child_that_never_gets_ready_is_killed(tmp_path: Path) -> None:
    """Half a start is no start."""
    never = child(tmp_path, "never", 'note("start")\ntime.sleep(60)', start_s=0.3)
    supervisor = Supervisor([never], RestartRule(first_s=0.01, limit=1))
    assert await supervisor.run() == 1
    assert log(tmp_path) == ["start", "start"]
    assert supervisor.units["never"].reason == "no READY=1 within 0.3 s; killed"


async def test_too_many_restarts_end_in_giving_up(tmp_path: Path) -> None:
    """A process that dies at once must not be started for ever; the exit code tells it."""
    dying = child(tmp_path, "dying", 'note("start")\nsys.exit(7)')
    supervisor = Supervisor([dying], RestartRule(first_s=0.01, limit=3))
    assert await supervisor.run() == 1
    assert len(log(tmp_path)) == 4
    assert (supervisor.units["dying"].state, supervisor.units["dying"].reason) == ("failed", "exit code 7")


async def test_wrong_configuration_is_not_tried_again(tmp_path: Path) -> None:
    """Exit code 2 says that the site file is wrong: the same file will be wrong next time."""
    wrong = child(tmp_path, "wrong", 'note("start")\nsys.exit(2)')
    supervisor = Supervisor([wrong, child(tmp_path, "next", 'note("next")')], RestartRule(first_s=0.01))
    assert await supervisor.run() == 1
    assert log(tmp_path) == ["start"]


async def test_gateway_given_up_leaves_control_running(tmp_path: Path) -> None:
    """What faces the network may crash with control unmoved."""
    control = child(tmp_path, "control", FAITHFUL.replace("NAME", "control"))
    gateway = child(tmp_path, "gateway", "sys.exit(7)", essential=False)
    supervisor = Supervisor([control, gateway], RestartRule(first_s=0.01, limit=1))
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.units["gateway"].state == "failed")
    await asyncio.sleep(0.1)
    assert supervisor.units["control"].state == "ready"
    supervisor.stop()
    assert await running == 1
    assert log(tmp_path) == ["start control", "stop control"]


async def test_child_deaf_to_sigterm_is_killed_with_its_workers(tmp_path: Path) -> None:
    """A stop must end, and leave no orphan that holds a port."""
    deaf = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        worker = os.fork()
        if worker == 0:
            time.sleep(60)
        note(str(worker))
        say("READY=1")
        beat(60)
    """
    supervisor = Supervisor([child(tmp_path, "deaf", deaf, stop_s=0.2)])
    running = asyncio.create_task(supervisor.run())
    assert await supervisor.ready()
    worker = int(log(tmp_path)[0])
    supervisor.stop()
    await running

    def gone() -> bool:    # reaped, or a zombie where this machine's process 1 does not reap
        status = Path(f"/proc/{worker}/stat")
        return not status.exists() or status.read_text().split()[2] == "Z"
    await until(gone)


async def test_niceness_is_set_and_each_child_hears_its_own_socket(tmp_path: Path) -> None:
    """The gateway gives way to control; a READY of one must not count for the other."""
    body = 'note(f"{os.nice(0)} " + os.environ["NOTIFY_SOCKET"] + " " + os.environ["WATCHDOG_USEC"])\nbeat(60)'
    here = os.nice(0)
    kind = [child(tmp_path, "a", "time.sleep(0.1)\nsay('READY=1')\n" + body),
            child(tmp_path, "b", "time.sleep(0.1)\nsay('READY=1')\n" + body, niceness=3)]
    supervisor = Supervisor(kind)
    running = asyncio.create_task(supervisor.run())
    assert await supervisor.ready()
    await until(lambda: len(log(tmp_path)) == 2)
    supervisor.stop()
    await running
    (a_nice, a_socket, a_usec), (b_nice, b_socket, _) = (line.split() for line in log(tmp_path))
    assert (int(a_nice), int(b_nice)) == (here, here + 3)
    assert a_socket != b_socket
    assert a_usec == "10000000"


def test_site_children_are_the_two_units_of_the_target(tmp_path: Path) -> None:
    """The demo runs what systemd runs: the same two commands, the same priority."""
    control, gateway = site_children(Path("site.yaml"), Path("/r"), Path("/s"))
    assert control.command[1:] == ("-m", "pswd_edge", "run", "control", "--site", "site.yaml")
    assert gateway.command[1:] == ("-m", "pswd_edge", "run", "gateway", "--runtime-dir", "/r", "--state-dir", "/s")
    assert (control.niceness, gateway.niceness) == (0, 15)


@pytest.mark.parametrize("abstract", [False, True])
def test_notify_reaches_file_and_abstract_sockets(
        tmp_path: Path, abstract: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers and old systemd use the abstract name space."""
    address = f"@pswd-test-{os.getpid()}" if abstract else str(tmp_path / "n")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:] if abstract else address)
        assert notify("READY=1\nSTATUS=ok")
        assert listener.recv(100) == b"READY=1\nSTATUS=ok"


def test_notify_never_waits_and_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called from the control loop: a manager that is busy or gone must cost it nothing."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "busy"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "busy"))
        before_s = time.monotonic()
        assert not all(notify("WATCHDOG=1") for _ in range(2000))
        assert time.monotonic() - before_s < 1.0
