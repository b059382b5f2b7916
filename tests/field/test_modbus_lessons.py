"""What peers' users complain of, on every Modbus transport: the whole field, real sockets, simulated units."""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pswd_edge.field.field import Field
from pswd_edge.model.device import Connection
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site
from tests.field.drivers.modbus_lines import RTU, TRANSPORTS, Bench, bench
from tests.field.fieldmaker import Told, _changed, cycles, field_of, modbus_point, running, small_site, until

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
GAP_S = 0.03
PAUSE_S = 0.25
CLOCK_S = 0.002               # event loops round timers to a millisecond


def far(count: int, period_ms: int = 20) -> list[Point]:
    """Points so far apart that each is a request; register 200 n holds n."""
    return [modbus_point(200 * n, index=n, signal=f"p{n}", period_ms=period_ms) for n in range(count)]


def site_of(made: Bench, points: Sequence[Sequence[Point]], units: Sequence[int], period_ms: int = 20,
            **connection: Any) -> Site:
    """Devices with these points and units on the one connection of the bench."""
    site: Site = small_site([1], points, [(0, unit) for unit in units], period_ms=period_ms)
    link = Connection(0, "line", "modbus", made.settings, **connection)
    changed: Site = _changed(site, connections=(link,))
    return changed


def watch_requests(made: Bench) -> list[tuple[float, float]]:
    """When each read reached the unit, and when it was answered: the unit's own register space notes it."""
    units = made.server.units if hasattr(made.server, "units") else made.server._units
    times: list[tuple[float, float]] = []
    (space,) = units.values()
    real: Callable[..., bytes] = space.read_words

    def noted(*words: Any) -> bytes:
        came_s = time.monotonic()
        found = real(*words)
        times.append((came_s, time.monotonic()))
        return found

    space.read_words = noted  # type: ignore[method-assign]
    return times


@every_transport
async def test_row_15_a_device_gets_its_gap_between_two_requests(transport: str, tmp_path: Path) -> None:
    """25 ms between frames cured all time-outs of one vendor's device, after five months of looking."""
    points = far(3)
    async with bench(transport, tmp_path, points, {p.signal: 1.0 for p in points}) as made:
        times = watch_requests(made)
        site = site_of(made, [points], [3], min_gap_ms=int(1000 * GAP_S))
        async with running(field_of(site, Told())) as field:
            await cycles(field, 30)
    assert len(times) >= 6
    gaps_s = [after[0] - before[1] for before, after in itertools.pairwise(times)]
    assert min(gaps_s) >= GAP_S - CLOCK_S


@every_transport
async def test_row_15_a_gateway_gets_its_pause_after_a_connect(transport: str, tmp_path: Path) -> None:
    """Some accept a connection before they can answer on it; after a reconnect as after a start."""
    points = far(1)
    async with bench(transport, tmp_path, points, {"p0": 1.0}) as made:
        times = watch_requests(made)
        field = field_of(site_of(made, [points], [3], pause_after_connect_ms=int(1000 * PAUSE_S)), Told())
        started_s = time.monotonic()
        async with running(field):
            await cycles(field, 10)
            assert times[0][0] - started_s >= PAUSE_S - CLOCK_S
            made.faults.set("line", "disconnect", True)
            await made.server.follow()
            async with asyncio.timeout(5):
                while field.pollers[0].state == "open":
                    await cycles(field, 1)
            made.faults.set("line", "disconnect", None)
            back_s = time.monotonic()
            await made.server.follow()
            times = watch_requests(made)
            await until(lambda: field.pollers[0].state == "open", 8)
            await cycles(field, 5)
    assert times[0][0] - back_s >= PAUSE_S - CLOCK_S


@pytest.mark.parametrize("transport", RTU)
async def test_row_1_a_dead_unit_on_a_bus_costs_its_neighbours_little(transport: str, tmp_path: Path) -> None:
    """One meter without power on a bus of many: the bus goes on, and is not opened anew for it."""
    points = far(2, period_ms=100)
    async with bench(transport, tmp_path, points, {"p0": 0.0, "p1": 1.0}) as made:
        site = site_of(made, [points, points], [3, 9], period_ms=100, timeout_max_ms=150)
        told = Told()
        async with running(field_of(site, told)) as field:
            await cycles(field, 30, period_s=0.1, deadline_s=0.08)
            counts = field.pollers[0].counts
            silent, answered, opened_anew = counts.silent, counts.answered, counts.reconnects
            async with asyncio.timeout(10):         # a busy machine is late now and then
                while not all(_good(field, p) for p in (0, 1)):
                    await cycles(field, 1, period_s=0.1, deadline_s=0.08)
            alive = [field.reading(p, time.monotonic()).value for p in (0, 1)]
            dead = [field.reading(p, time.monotonic()).quality for p in (2, 3)]
    assert alive == [0.0, 1.0]
    assert dead == [Quality.BAD, Quality.BAD]
    assert "device_silent" in told.codes("dev1")
    assert opened_anew <= 1
    assert answered > 2 * silent


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_row_11_the_field_never_shows_a_neighbours_value(transport: str, tmp_path: Path) -> None:
    """Every answer late by more than its time-out, for seconds, then in time again: right values or none."""
    points = far(4)
    async with bench(transport, tmp_path, points, {f"p{n}": float(n) for n in range(4)}) as made:
        field = field_of(site_of(made, [points], [3], timeout_max_ms=60), Told())
        async with running(field):
            await cycles(field, 10)
            wrong = await _shown_wrong(made, field)
            made.faults.set("dut", "delay", None)
            await until(lambda: _all_good(field), 10)
    assert wrong == []


async def _shown_wrong(made: Bench, field: Field) -> list[Any]:
    wrong: list[Any] = []
    for delay_s in (0.07, 0.11, 0.2, 0.03):
        made.faults.set("dut", "delay", delay_s)
        for _ in range(20):
            await cycles(field, 1)
            shown = [field.reading(n, time.monotonic()) for n in range(4)]
            wrong += [r for n, r in enumerate(shown) if r.quality is not Quality.BAD and r.value != n]
    return wrong


def _all_good(field: Field) -> bool:
    field.begin()
    field.settle_rest(time.monotonic())
    return all(_good(field, n) for n in range(4))


def _good(field: Field, point: int) -> bool:
    return field.reading(point, time.monotonic()).quality is Quality.GOOD


async def test_row_27_a_register_is_asked_for_by_its_own_number(tmp_path: Path) -> None:
    """Off by one takes a site days: wire addresses everywhere, and the last one is 65535."""
    points = [modbus_point(r, index=n, signal=f"p{n}") for n, r in enumerate((0, 1, 9999, 40000, 65535))]
    async with bench("tcp", tmp_path, points, {f"p{n}": float(n) for n in range(5)}) as made, \
            running(field_of(site_of(made, [points], [3]), Told())) as field:
        await cycles(field, 10)
        assert [field.reading(n, time.monotonic()).value for n in range(5)] == [0.0, 1.0, 2.0, 3.0, 4.0]
