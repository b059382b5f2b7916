"""`pswd-edge plan`: computed times against pencil and paper, and measured ones against a device of known slowness."""

import asyncio
from pathlib import Path

import pytest

from pswd_edge.app import compiled_site
from pswd_edge.commands.plan import advice_of
from pswd_edge.commands.plan_time import Measured, loads_of, wire_ms
from pswd_edge.model.device import Connection
from pswd_edge.model.site import Site
from tests.field.fieldmaker import far_points, modbus_point, raw_device, request_of, small_site
from tests.tools.toolrig import control_of, site_file, typed

NONE = ("--runtime-dir", "/nonexistent")


def site_of(units: int = 3, **connection: object) -> Site:
    """Units of one gateway, one request of one register each, every 100 ms."""
    return small_site([1], [far_points(1, period_ms=100)] * units, [(0, n + 1) for n in range(units)], **connection)


def requests_of(site: Site) -> list:
    return [r for d in site.devices for r in request_of([site.points[d.first_point]], index=d.index, unit=d.unit)]


def test_a_healthy_a_dead_and_a_slow_connection() -> None:
    """5 ms and a 2 ms gap: 3 x 7; one dead costs its 50 ms time-out instead of its 5 ms; all slow 3 x 52."""
    site = site_of(min_gap_ms=2)
    (load,) = loads_of(site, requests_of(site), 5.0)

    assert load.scan_ms == pytest.approx(21.0)
    assert load.dead_ms == pytest.approx(14.0 + 52.0)
    assert load.slow_ms == pytest.approx(3 * 52.0)
    assert load.slack_ms == pytest.approx(79.0)
    assert load.size_bytes == 3 * (12 + 9 + 2)
    assert load.trip_max_ms == pytest.approx(100 / 3 - 2)


def test_a_serial_line_takes_the_time_of_its_bytes() -> None:
    """Ten registers at 9600 baud: 8 + 25 bytes of 11 bits are 37.8 ms, and the silence around two frames 8 ms more."""
    line = Connection(0, "line", "modbus", {"transport": "serial", "device": "/dev/ttyUSB0", "baud": 9600})
    (request,) = request_of([modbus_point(n) for n in range(10)])

    assert wire_ms(line, request) == pytest.approx(1000 * (33 + 2 * 3.5) * 11 / 9600)
    assert wire_ms(Connection(0, "net", "modbus", {"host": "h"}), request) == 0.0


def test_what_was_measured_too_slow_is_refused_although_it_was_computed_to_fit() -> None:
    """The device has the last word; the advice says which device asks most and what would fit."""
    site = site_of()
    (load,) = loads_of(site, requests_of(site), 5.0, {"c0": Measured(40.0, 60.0, 120.0, 180.0, 600)})

    assert load.slack_ms > 0
    assert not load.makes_its_rate
    assert load.ratio == pytest.approx(180 / 15)
    advice = "\n".join(advice_of(site, requests_of(site), load))
    assert "180 ms (measured, p99) does not fit 100 ms" in advice
    assert "every: 1s" in advice
    assert "dev0 1" in advice


def plan_file(folder: Path, port: int) -> Path:
    """A site of the one meter at this port; its other connections are where nobody is."""
    return site_file(folder, port)


async def test_plan_measures_the_devices_itself(tmp_path: Path) -> None:
    """A device that takes 30 ms is seen to take 30 ms; what cannot be reached is told and not measured."""
    async with raw_device() as device:
        device.delay_s = 0.03
        found = await typed("plan", plan_file(tmp_path, device.port), "--measure", "--times", 5, "--json", *NONE)
        sessions = device.connections

    loads = {c["connection"]: c for c in found.json["connections"] if c["fastest"]}
    assert loads["meters"]["measured"]["trip_p50_ms"] >= 30
    assert loads["meters"]["measured"]["scan_p99_ms"] >= loads["meters"]["measured"]["scan_p50_ms"] >= 30
    assert loads["meters"]["ratio"] > 1
    assert loads["racks"]["measured"] is None
    assert any(note.startswith("racks:") for note in found.json["notes"])
    assert sessions == 1


async def test_a_measured_scan_that_does_not_fit_ends_with_status_2(tmp_path: Path) -> None:
    """Computed with 5 ms it fits; the device takes 120 ms of 100."""
    async with raw_device() as device:
        device.delay_s = 0.12
        path = plan_file(tmp_path, device.port)
        computed = await typed("plan", path, *NONE)
        measured = await typed("plan", path, "--measure", "--times", 2, *NONE)

    assert (computed.status, measured.status) == (0, 2)
    assert "(measured, p99) does not fit 100 ms" in measured.out


async def test_measured_without_control_says_what_to_do(tmp_path: Path) -> None:
    """Nothing is made up."""
    found = await typed("plan", plan_file(tmp_path, 1), "--measured", *NONE)

    assert found.status == 1
    assert "--measure" in found.err


async def test_measured_shows_what_the_running_control_measures(tmp_path: Path) -> None:
    """The same device, the same 20 ms, without a second session with it."""
    secret = tmp_path / "secret"
    secret.write_text("word")
    secret.chmod(0o600)
    async with raw_device() as device:
        device.delay_s = 0.02
        path = site_file(tmp_path, device.port, [("file:/run/secret", f"file:{secret}")])
        async with control_of(compiled_site(path), tmp_path) as runtime:
            await asyncio.sleep(2.5)
            found = await typed("plan", path, "--measured", "--json", "--runtime-dir", runtime)
            refused = await typed("plan", path, "--measure", "--runtime-dir", runtime)
            sessions = device.connections

    meters = next(c for c in found.json["connections"] if c["connection"] == "meters" and c["fastest"])
    assert meters["measured"]["trip_p50_ms"] >= 20
    assert meters["measured"]["scan_p99_ms"] >= meters["measured"]["scan_p50_ms"] >= 20
    assert next(c for c in found.json["connections"] if c["connection"] == "racks")["measured"] is None
    assert refused.status == 1
    assert "plan --measured" in refused.err
    assert sessions == 1
