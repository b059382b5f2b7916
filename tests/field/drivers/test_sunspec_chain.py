"""The driver finds its SunSpec models by walking, and never takes one model's registers for another's."""

import asyncio
import math
import struct
from pathlib import Path

import pytest

from pswd_edge.errors import DecodeError, DeviceError, RefusedError, SilentError
from pswd_edge.field.drivers import sunspec_chain
from pswd_edge.field.drivers.modbus import ModbusDriver
from pswd_edge.field.drivers.sunspec_chain import MODELS_MAX
from pswd_edge.model.quality import Quality
from tests.field.drivers.modbus_lines import TRANSPORTS, bench
from tests.field.drivers.modbus_lines import opened as lines_opened
from tests.field.drivers.sunspec_device import body, chain, in_model, plan, read_all, sunspec_device
from tests.field.fieldmaker import ANY, Told, cycles, field_of, frame, modbus_device, opened, running, small_site

COMMON = body(1, 66)
POWER = in_model(701, 10, "int16")    # where nothing else is said, a register holds its offset: 10


async def power(driver: ModbusDriver) -> float:
    return float((await read_all(driver, [POWER])).value[0])


def reads(asked: list[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """First register and count of what was asked."""
    return [struct.unpack_from(">HH", pdu, 1) for _, pdu in asked]


# --- finding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [40000, 50000, 0])
async def test_the_marker_is_found_at_each_of_the_three_bases(base: int) -> None:
    """SunSpec allows three, and a map should not care."""
    async with sunspec_device(chain(COMMON, body(701, 153), base=base)) as device, opened(device.port) as driver:
        assert await power(driver) == 10.0


async def test_the_walk_reads_each_header_once_and_then_never_again() -> None:
    """A chain of five models costs seven small reads at connect, and nothing in steady state."""
    words = chain(COMMON, body(64999, 5), body(701, 153), body(713, 7))
    async with sunspec_device(words) as device, opened(device.port) as driver:
        await power(driver)
        assert reads(device.asked) == [(40000, 2), (40002, 2), (40070, 2), (40077, 2), (40232, 2), (40241, 2),
                                       (40077, 11)]
        device.asked.clear()
        await power(driver)
        assert reads(device.asked) == [(40077, 11)]


@pytest.mark.parametrize("length", [65, 66])
async def test_a_common_model_of_either_length_moves_the_others(length: int) -> None:
    """L of model 1 is 65 or 66: with fixed addresses one of the two read the register beside the right one."""
    async with sunspec_device(chain(body(1, length), body(701, 153))) as device, opened(device.port) as driver:
        assert await power(driver) == 10.0


async def test_a_device_that_refuses_to_read_behind_its_last_model_has_ended_there() -> None:
    """Some leave the end model out."""
    async with sunspec_device(chain(COMMON, body(701, 153), end=None)) as device, opened(device.port) as driver:
        assert await power(driver) == 10.0


async def test_the_second_model_of_a_number_is_another_place() -> None:
    """A charger with two identical meters has model 203 twice."""
    points = [in_model(203, 18, index=0), in_model(203, 18, index=1, occurrence=1)]
    words = chain(body(203, 105, r18=7), COMMON, body(203, 105, r18=8))
    async with sunspec_device(words) as device, opened(device.port) as driver:
        assert (await read_all(driver, points, count=2)).value.tolist() == [7.0, 8.0]


async def test_units_behind_one_gateway_have_chains_of_their_own() -> None:
    """The same map, two firmwares."""
    async with sunspec_device(chain(COMMON, body(701, 153, r10=1))) as device, opened(device.port) as driver:
        assert await power(driver) == 1.0
        device.words = chain(body(701, 153, r10=2), COMMON)
        assert (await read_all(driver, [POWER], unit=2)).value.tolist() == [2.0]
        device.words = chain(COMMON, body(701, 153, r10=1))
        assert await power(driver) == 1.0


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_models_are_found_and_written_on_every_transport(transport: str, tmp_path: Path) -> None:
    """The walk is made of ordinary requests; ID and length come along on a serial line too."""
    points = [in_model(701, 10, "int16", index=0, signal="power_w", scale_register=116),
              in_model(704, 24, "int32", index=1, signal="power_setpoint_w", scale_register=55, write=ANY),
              in_model(1, 50, "string", index=2, signal="serial_number", length=16, unit="1")]
    shown = {"power_w": 4e6, "power_setpoint_w": 0.0}
    async with bench(transport, tmp_path, points, shown) as unit, lines_opened(unit.settings) as driver:
        assert [r.text for r in driver.plan(modbus_device(unit=3, count=3), points)] == [
            "model 1 50+16", "model 701 0+117", "model 704 0+56"]
        table = await read_all(driver, points, unit=3, count=3)
        assert table.value[0] == 4e6
        assert table.texts[2].endswith("serial_number")
        await driver.write(modbus_device(unit=3), points[1], -2e6, 1.0)
        assert (await read_all(driver, points, unit=3, count=3)).value[1] == pytest.approx(-2e6, rel=1e-3)


# --- moving ---------------------------------------------------------------------------------------------------------


async def test_models_that_moved_are_found_again_at_the_next_connect() -> None:
    """A firmware update moves models; the connection breaks with it."""
    async with sunspec_device(chain(COMMON, body(701, 153))) as device, opened(device.port) as driver:
        assert await power(driver) == 10.0
        device.words = chain(body(64999, 30), COMMON, body(701, 153))
        await driver.open()
        assert await power(driver) == 10.0


async def test_models_that_move_under_an_open_connection_make_no_wrong_value() -> None:
    """Behind a gateway the connection stays: ID and length come with the values, and what does not fit is no value."""
    async with sunspec_device(chain(COMMON, body(701, 153), body(713, 7))) as device, opened(device.port) as driver:
        assert await power(driver) == 10.0
        device.words = chain(COMMON, body(713, 7), body(701, 153))
        with pytest.raises(DecodeError, match="got ID 713 with length 7 at 40070: expected SunSpec model 701; the "):
            await power(driver)
        assert await power(driver) == 10.0


async def test_a_refusal_makes_the_driver_walk_anew() -> None:
    """The model has moved to where nothing was before, and its old place is refused."""
    async with sunspec_device(chain(COMMON, body(701, 153))) as device, opened(device.port) as driver:
        assert await power(driver) == 10.0
        device.words = chain(COMMON, body(701, 153), base=50000)
        with pytest.raises(RefusedError):
            await power(driver)
        assert await power(driver) == 10.0


async def test_a_block_that_is_refused_for_ever_is_no_reason_to_walk_at_every_read() -> None:
    """A hole in a model is refused ten times a second: the walk follows the 1st, 2nd, 4th, … refusal only."""
    words = chain(COMMON, body(701, 153))
    del words[40070 + 10]
    async with sunspec_device(words) as device, opened(device.port) as driver:
        for _ in range(64):
            with pytest.raises(RefusedError):
                await power(driver)
        assert reads(device.asked).count((40000, 2)) <= 8


# --- what is not there ----------------------------------------------------------------------------------------------


async def test_a_missing_model_is_refused_by_name_and_costs_the_others_nothing() -> None:
    """The text tells what the device has; each refusal is one exchange, which proves that the unit is there."""
    async with sunspec_device(chain(COMMON, body(701, 153))) as device, opened(device.port) as driver:
        with pytest.raises(RefusedError, match=r"unit 1 has no SunSpec model 713: got 1, 701 from 40002: expected it"):
            await read_all(driver, [in_model(713, 4)])
        assert await power(driver) == 10.0
        device.asked.clear()
        with pytest.raises(RefusedError):
            await read_all(driver, [in_model(713, 4)])
        assert reads(device.asked) == [(40225, 2)]


async def test_a_model_that_comes_is_found_without_a_new_connection() -> None:
    """A battery is switched on behind its inverter, which then shows model 713 too."""
    state = [in_model(713, 4)]
    async with sunspec_device(chain(COMMON, body(701, 153))) as device, opened(device.port) as driver:
        with pytest.raises(RefusedError):
            await read_all(driver, state)
        device.words = chain(COMMON, body(701, 153), body(713, 7))
        with pytest.raises(DecodeError, match="chain is another one at 40225"):
            await read_all(driver, state)
        assert (await read_all(driver, state)).value.tolist() == [4.0]


async def test_a_model_shorter_than_the_map_is_refused_for_what_it_lacks_only() -> None:
    """An older edition of a model lacks its last points; behind it lies another model, whose registers they are not."""
    async with sunspec_device(chain(COMMON, body(701, 50), body(713, 7))) as device, opened(device.port) as driver:
        with pytest.raises(RefusedError, match="model 701 of unit 1 at 40070: got 52 registers: expected 54") as short:
            await read_all(driver, [in_model(701, 53)])
        assert short.value.code == 2
        assert (await read_all(driver, [in_model(701, 51)])).value.tolist() == [51.0]


async def test_a_device_without_the_marker_says_so() -> None:
    """No SunSpec device at all: a wrong unit id or a map for another product."""
    async with sunspec_device({40000: 1, 40001: 2}) as device, opened(device.port) as driver:
        with pytest.raises(RefusedError, match=r"got no SunSpec marker with a model at 40000, 50000, 0: expected it"):
            await power(driver)
        assert reads(device.asked) == [(40000, 2), (50000, 2), (0, 2), (40000, 2)]


@pytest.mark.parametrize("words", [
    chain(COMMON, body(701, 0), body(713, 7)),
    chain(*[body(64000 + n, 1) for n in range(MODELS_MAX + 5)]),
    {**chain(COMMON, end=(7, 60000))},
], ids=["a model of length 0", "too many models", "beyond the last register"])
async def test_a_chain_that_makes_no_sense_ends_the_walk(words: dict[int, int]) -> None:
    """It may lead in a circle or nowhere: bounded, and named."""
    async with sunspec_device(words) as device, opened(device.port) as driver:
        with pytest.raises(DecodeError, match=r"SunSpec chain: got ID \d+ with length \d+ at \d+"):
            await power(driver)
        assert len(device.asked) <= MODELS_MAX + 3


async def test_counts_that_differ_from_the_maps_are_refused() -> None:
    """With four points in a curve the second curve begins elsewhere: three would show the first curve's last point."""
    point = in_model(705, 43, counts=((5, 4),))
    words = [chain(COMMON, body(705, 60, r5=n)) for n in (3, 4)]
    async with sunspec_device(words[0]) as device, opened(device.port) as driver:
        with pytest.raises(RefusedError, match="model 705 of unit 1: got 3 in its register 5: expected 4, as `counts`"):
            await read_all(driver, [point])
        device.words = words[1]
        assert (await read_all(driver, [point])).value.tolist() == [43.0]
        device.asked.clear()
        await read_all(driver, [point])
        assert len(device.asked) == 1


# --- silence --------------------------------------------------------------------------------------------------------


async def test_a_unit_that_falls_silent_during_the_walk_goes_on_where_it_was() -> None:
    """Each attempt costs one time-out; a walk that began anew each time might never end on a bad line."""
    async with sunspec_device(chain(COMMON, body(701, 153))) as device, opened(device.port) as driver:
        refuse, heard = device.misbehave, 0

        def every_second_is_lost(transaction: int, unit: int, pdu: bytes) -> object:
            nonlocal heard
            heard += 1
            return [] if heard % 2 else refuse(transaction, unit, pdu)

        device.misbehave = every_second_is_lost
        (request,) = plan([POWER])
        lost = 0
        for _ in range(20):
            try:
                await driver.read(request, 0.05)
                break
            except SilentError:
                lost += 1
        assert lost <= 6
        assert len(device.asked) <= 13


async def test_a_device_that_is_silent_where_it_has_nothing_is_found_at_its_base() -> None:
    """Not every device refuses: the next attempt begins at the next base."""
    async with sunspec_device(chain(COMMON, body(701, 153), base=50000)) as device, opened(device.port) as driver:
        refuse = device.misbehave
        device.misbehave = lambda t, u, pdu: [] if pdu[1:3] == b"\x9c\x40" else refuse(t, u, pdu)
        (request,) = plan([POWER])
        with pytest.raises(SilentError):
            await driver.read(request, 0.05)
        assert await power(driver) == 10.0


@pytest.mark.parametrize("code", [6, 10, 11])
async def test_what_a_gateway_or_a_busy_device_says_is_no_end_of_the_chain(code: int) -> None:
    """"Target failed to respond" at the second header must not become "the device has one model"."""
    async with sunspec_device(chain(COMMON, body(701, 153))) as device, opened(device.port) as driver:
        refuse = device.misbehave
        device.misbehave = lambda t, u, pdu: ([frame(t, u, bytes((pdu[0] | 0x80, code)))]
                                              if pdu[1:3] == struct.pack(">H", 40070) else refuse(t, u, pdu))
        with pytest.raises(RefusedError) as refused:
            await power(driver)
        assert refused.value.code == code
        device.misbehave = refuse
        assert await power(driver) == 10.0


async def test_a_long_chain_on_a_slow_line_is_walked_in_several_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The units beside it get their turns in between."""
    monkeypatch.setattr(sunspec_chain, "WALK_S", 0.03)
    words = chain(COMMON, *[body(64000 + n, 1) for n in range(30)], body(701, 153))
    async with sunspec_device(words) as device, opened(device.port) as driver:
        device.delay_s = 0.01
        (request,) = plan([POWER])
        turns = 0
        while True:
            before = len(device.asked)
            try:
                await driver.read(request, 1.0)
                break
            except DecodeError as error:
                told = str(error)
            turns += 1
            assert len(device.asked) - before <= 5
        assert "the walk goes on at the next read" in told
        assert turns >= 4
        assert len(device.asked) <= 36


async def test_a_silent_sunspec_unit_costs_the_units_beside_it_next_to_nothing() -> None:
    """It is walked when it is first read, and not when the connection is opened."""
    async with sunspec_device(chain(COMMON, body(701, 153))) as device:
        device.muted = {2}
        points = [[in_model(701, 10, period_ms=20)], [in_model(701, 10, period_ms=20)]]
        site = small_site([device.port], points, [(0, 1), (0, 2)], timeout_max_ms=50)
        field = field_of(site, told := Told(), watched=[0])
        async with running(field):
            await cycles(field, 100)
            assert field.table.quality.tolist() == [Quality.GOOD, Quality.BAD]
            assert field.table.value[0] == 10.0
            assert field.pollers[0].sessions == 1
            device.muted = set()
            async with asyncio.timeout(10):
                while field.table.quality[1] != Quality.GOOD:
                    await cycles(field, 10)
        assert "device_silent" in told.codes("dev1")
        assert told.codes("dev0") == []


async def test_a_missing_model_is_told_once_and_its_points_are_bad() -> None:
    """An operator reads what the device has; the rest of the device is good."""
    async with sunspec_device(chain(COMMON, body(701, 153))) as device:
        site = small_site([device.port], [[in_model(701, 10, period_ms=20), in_model(713, 4, period_ms=20)]], [(0, 1)])
        field = field_of(site, told := Told())
        async with running(field):
            await cycles(field, 20)
            assert field.table.quality.tolist() == [Quality.GOOD, Quality.BAD]
            assert math.isnan(field.table.value[1])
        texts = [text for _, code, _, text in told.events if code == "device_refuses"]
        assert len(texts) == 1
        assert "has no SunSpec model 713: got 1, 701 from 40002" in texts[0]


async def test_points_beyond_a_short_model_cost_the_others_of_their_request_nothing() -> None:
    """A bank of one string, a map of two: the refused request is searched, and what the model has is read on."""
    points = [in_model(803, register, period_ms=20) for register in (4, 32, 33, 64, 65)]
    async with sunspec_device(chain(COMMON, body(803, 26 + 32))) as device:
        field = field_of(small_site([device.port], [points], [(0, 1)]), Told())
        good = [Quality.GOOD] * 3 + [Quality.BAD] * 2
        async with running(field), asyncio.timeout(20):
            while field.table.quality.tolist() != good:
                await cycles(field, 5)
            assert field.table.value[:3].tolist() == [4.0, 32.0, 33.0]
            await cycles(field, 10)
            assert field.table.quality.tolist() == good


async def test_a_connection_that_is_lost_in_the_middle_of_a_walk_is_made_anew_and_walked_anew() -> None:
    """The search of the old connection must not answer a request of the new one."""
    async with sunspec_device(chain(COMMON, body(701, 153), body(713, 7))) as device:
        points = [[in_model(701, 10, period_ms=20), in_model(713, 4, period_ms=20)]]
        field = field_of(small_site([device.port], points, [(0, 1)]), Told(), watched=[0, 1])
        refuse, cuts = device.misbehave, 0

        def cut_at_the_third_header(transaction: int, unit: int, pdu: bytes) -> object:
            nonlocal cuts
            if cuts < 3 and pdu[1:3] == struct.pack(">H", 40225):
                cuts += 1
                device.cut()
                return []
            return refuse(transaction, unit, pdu)

        device.misbehave = cut_at_the_third_header
        async with running(field), asyncio.timeout(20):
            while field.table.quality.tolist() != [Quality.GOOD, Quality.GOOD]:
                await cycles(field, 5)
                assert [v for v in field.table.value.tolist() if not math.isnan(v) and v not in (10.0, 4.0)] == []
        assert cuts == 3
        assert field.table.value.tolist() == [10.0, 4.0]


async def test_a_driver_that_is_closed_during_a_search_tells_nobody() -> None:
    """Whoever asked has been told already; a late call would be taken for the answer to another request."""
    async with sunspec_device(chain(COMMON, body(701, 153))) as device, opened(device.port) as driver:
        heard: list[object] = []
        device.delay_s = 0.02
        (request,) = plan([POWER])
        driver.sender(request)(1.0, 0.0, heard.append)
        await asyncio.sleep(0.03)
        await driver.close()
        await asyncio.sleep(0.1)
        assert heard == []


# --- writing --------------------------------------------------------------------------------------------------------


async def test_a_set_point_is_written_where_its_model_is_with_its_scale() -> None:
    """The scale factor is read once, beside the model; moved models have another one."""
    setpoint = in_model(704, 24, "int32", scale_register=55, write=ANY)
    async with sunspec_device(chain(COMMON, body(704, 65, r55=1))) as device, opened(device.port) as driver:
        await driver.write(modbus_device(), setpoint, -1_000_000.0, 1.0)
        assert [device.words[40070 + r] for r in (24, 25)] == [0xFFFE, 0x7960]
        await driver.write(modbus_device(), setpoint, 10.0, 1.0)
        assert reads(device.asked).count((40070 + 55, 1)) == 1

        device.words = chain(body(64999, 3), COMMON, body(704, 65, r55=2))
        await driver.open()
        await driver.write(modbus_device(), setpoint, 700.0, 1.0)
        assert [device.words[40075 + r] for r in (24, 25)] == [0, 7]


async def test_a_scale_factor_is_forgotten_when_the_models_move_under_an_open_connection() -> None:
    """The register that held one model's scale holds another's now: a power of ten wrong is ten times the power."""
    first = in_model(704, 24, "int32", scale_register=55, write=ANY)
    second = in_model(124, 12, "int16", scale_register=25, write=ANY)
    async with sunspec_device(chain(COMMON, body(704, 65, r55=1))) as device, opened(device.port) as driver:
        await driver.write(modbus_device(), first, 10.0, 1.0)
        device.words = chain(COMMON, body(64999, 28), body(124, 24, r25=0))
        assert device.words[40125] == 0
        with pytest.raises(DecodeError, match="another one"):
            await driver.write(modbus_device(), second, 50.0, 1.0)
        await driver.write(modbus_device(), second, 50.0, 1.0)
        assert device.words[40100 + 12] == 50


async def test_nothing_is_written_to_a_model_that_is_not_there() -> None:
    """Not even to where it was: a set-point in a foreign register is worse than none."""
    setpoint = in_model(704, 24, "int32", write=ANY)
    async with sunspec_device(chain(COMMON, body(701, 153))) as device, opened(device.port) as driver:
        with pytest.raises(DeviceError, match="no SunSpec model 704"):
            await driver.write(modbus_device(), setpoint, 1.0, 1.0)
        assert {pdu[0] for _, pdu in device.asked} == {3}


# --- the plan -------------------------------------------------------------------------------------------------------


def test_no_request_crosses_a_model_and_each_brings_its_header_along() -> None:
    """Models may be anywhere; ID and L tell with every answer that they still are where they were."""
    points = [in_model(701, 10, index=0), in_model(713, 4, index=1), in_model(701, 12, index=2),
              in_model(701, 120, index=3), in_model(160, 8, index=4), in_model(160, 8, index=5, occurrence=1)]
    found = [(r.text, [p.index for p in r.points]) for r in plan(points, count=6)]
    assert found == [("model 160 0+9", [4]), ("model 160[1] 0+9", [5]), ("model 701 0+13", [0, 2]),
                     ("model 701 120+1", [3]), ("model 713 0+5", [1])]


async def test_a_value_far_from_its_scale_factor_is_read_in_parts_of_one_read() -> None:
    """String 7 of a bank is 200 registers behind the bank's scale factors: more than a request carries."""
    points = [in_model(803, 64 + 32 * n, index=n, scale_register=26) for n in range(9)]
    words = chain(COMMON, body(803, 26 + 32 * 10, r26=1))
    async with sunspec_device(words) as device, opened(device.port) as driver:
        table = await read_all(driver, points, count=9)
        assert table.value.tolist() == [10.0 * (64 + 32 * n) for n in range(9)]
        assert max(count for _, count in reads(device.asked)) <= 125
        assert len(plan(points, count=9)) == 2


async def test_a_device_that_takes_few_registers_at_once_is_asked_for_few() -> None:
    """`max_registers` of the map holds inside a model too."""
    points = [in_model(701, 10, "int16", scale_register=116)]
    async with sunspec_device(chain(COMMON, body(701, 153, r116=0))) as device, opened(device.port) as driver:
        assert (await read_all(driver, points, max_registers=50)).value.tolist() == [10.0]
        assert max(count for _, count in reads(device.asked)) <= 50
