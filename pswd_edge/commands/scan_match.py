"""Which known device maps read a Modbus unit: by trying. A map fits where what it reads is all there and possible."""

from collections.abc import Iterator

from pswd_edge.commands.pace import Pace
from pswd_edge.config.map_form import ModbusMap
from pswd_edge.config.maps import MAP_FOLDERS, known_maps, load_map
from pswd_edge.config.points import PointContext, compile_points
from pswd_edge.errors import ConfigError, DeviceError, UnreachableError
from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.drivers.modbus_explore import Wire
from pswd_edge.field.drivers.registry import find_driver
from pswd_edge.field.fresh import Answer, readings_of, span_of
from pswd_edge.model.device import Device
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.quality import Quality

_FUNCTIONS = {"holding": 3, "input": 4}
_GOOD_SHARE = 0.8             # of a map's points; a device may lack a register of its family
_TELLING_MIN = 3              # good values that are not 0: a device full of zeros fits every map
_CONTEXT = PointContext(device="device", device_index=0, first_point=0, period_ms=1000, trend=frozenset(), every_ms=0,
                        revert_s=None)


async def fitting_maps(wire: Wire, unit: int, pace: Pace, timeout_s: float) -> list[str]:
    """Names of the maps that fit, the one with the most values first. One map costs a request or few."""
    found = []
    for name, points, requests in _candidates(unit):
        answers = []
        for request in requests:
            await pace.turn()
            answer = await _asked(wire, unit, request, timeout_s)
            if answer is None:
                break
            answers.append(answer)
        if len(answers) < len(requests):
            continue  # what a map reads and the device does not have, is another device's
        readings = [r for _, r in readings_of(points, answers)]
        good = [r for r in readings if r.quality == Quality.GOOD.name]
        telling = sum(bool(r.value) for r in good)
        if telling >= _TELLING_MIN and len(good) >= _GOOD_SHARE * len(readings):
            found.append((-telling, name))
    return [name for _, name in sorted(found)]


def _candidates(unit: int) -> Iterator[tuple[str, list[Point], list[ReadRequest]]]:
    """Maps of plain registers, with what reads them. Those of SunSpec models are told by the chain."""
    driver = find_driver("modbus")({"host": "127.0.0.1", "port": 502})
    for name in known_maps(MAP_FOLDERS):
        try:
            form = load_map(name)
        except ConfigError:
            continue
        if not isinstance(form, ModbusMap) or any(r.sunspec or r.model for r in form.points):
            continue
        points = [p for p in compile_points(form, _CONTEXT) if p.readable and isinstance(p.address, ModbusAddress)]
        device = Device(0, "device", form.kind, 0, unit, name, 0, len(points), form.max_registers, form.max_gap,
                        form.barriers)
        requests = driver.plan(device, points)
        if all((span := span_of(r)) is not None and span.kind in _FUNCTIONS for r in requests):
            yield name, list(compile_points(form, _CONTEXT)), requests


async def _asked(wire: Wire, unit: int, request: ReadRequest, timeout_s: float) -> Answer | None:
    """The answer, or None where the device refuses it or keeps silent. Raises UnreachableError where it hung up."""
    span = span_of(request)
    assert span is not None  # `_candidates` lets no other pass
    answer = Answer(request)
    try:
        words = await wire.registers(unit, span.start, span.length, timeout_s, _FUNCTIONS[span.kind])
    except UnreachableError:
        raise
    except DeviceError:
        return None
    answer.reply = b"".join(w.to_bytes(2, "big") for w in words)
    return answer
