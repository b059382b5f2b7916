"""Every point of the SunSpec models that the product claims, through map, planner, driver and decoder.

The register images are made by pysunspec2's own classes: where its points lie, how it encodes them and what it says
that they mean is a second opinion that shares no code with ours but the definition files.
"""

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sunspec2.device import Model

from pswd_edge.config import load_map
from pswd_edge.config.points import PointContext, compile_points
from pswd_edge.config.sunspec import model_words
from pswd_edge.field.table import Table
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Quality, Reason
from tests.field.drivers.sunspec_device import Body, body, chain, read_all, sunspec_device
from tests.field.fieldmaker import opened

MODELS = [1, 103, 124, *range(201, 205), *range(211, 214), *range(701, 716), 802, 803]
COUNTS = {"NPt": 3, "NCrv": 2, "NCrvSet": 2, "NCtl": 2, "NPrt": 2, "NStr": 3}
CONTEXT = PointContext("unit", 0, 0, 100, frozenset(), 0, None)
Found = list[tuple[str, Any]]


def reference_model(number: int) -> Any:
    """pysunspec2's model with its groups made; every point is "not implemented" but the counts."""
    return Model(number, data={**COUNTS, **{g: [{}] * n for g, n in (("Crv", 2), ("Ctl", 2), ("Prt", 2))}})


def walk(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every point with its reference."""
    yield from ((f"{path}.{name}", point) for name, point in group.points.items())
    for name, inner in group.groups.items():
        if isinstance(inner, list):
            for n, one in enumerate(inner):
                yield from walk(one, f"{path}.{name}[{n}]")
        else:
            yield from walk(inner, f"{path}.{name}")


def points_of(number: int) -> tuple[Any, Found]:
    model = reference_model(number)
    return model, [(ref, p) for ref, p in walk(model, str(number)) if p.pdef["type"] != "pad"]


def compiled(folder: Path, number: int, found: Found) -> tuple[Point, ...]:
    """A map of every point, in the words of a map."""
    counts = ", ".join(f"{number}.{name}: {COUNTS[name]}" for name in COUNTS if f"{number}.{name}" in dict(found))
    rows = "\n".join(f"  - {{id: p{n}, unit: '1', sunspec: '{ref}'}}" for n, (ref, _) in enumerate(found))
    path = folder / "all.yaml"
    path.write_text(f"map: all\nkind: meter\ndriver: modbus\nvendor: x\nsource: x\nrung: drafted\n"
                    f"counts: {{{counts}}}\npoints:\n{rows}\n")
    return compile_points(load_map(path), CONTEXT)


def values(kind: str, size: int, chance: random.Random) -> Any:
    """A raw value of this type that is none of its markers."""
    if kind == "sunssf":
        return chance.randint(-5, 5)
    if kind == "string":
        return "".join(chance.choice("ABCxyz019-") for _ in range(chance.randint(1, 2 * size)))
    if kind.startswith("float"):
        return float(chance.randint(-2**20, 2**20)) / 8
    bits = 16 * size
    if kind.startswith("int"):
        return chance.randint(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1)
    return chance.randint(1, 2 ** min(bits, 53) - 2)


def filled(found: Found, chance: random.Random) -> None:
    fixed = {"ID", "L", *COUNTS}
    for ref, point in found:
        name = ref.rpartition(".")[2]
        if name not in fixed or ref.count(".") > 1:
            point.value = values(point.pdef["type"], point.len, chance)


async def read_image(model: Any, number: int, points: tuple[Point, ...]) -> Table:
    image = bytes(model.get_mb())
    own = Body(number, image[4:])
    before = [] if number == 1 else [body(1, 66)]
    async with sunspec_device(chain(*before, body(64999, 5), own)) as device, opened(device.port) as driver:
        return await read_all(driver, points, count=len(points))


@pytest.mark.parametrize("number", MODELS)
async def test_every_point_of_the_model_is_read_as_pysunspec2_wrote_it(number: int, tmp_path: Path) -> None:
    """Offset, length, type, scale factor and repetition at once; a slip of a register in one of 1,311 points shows."""
    model, found = points_of(number)
    filled(found, random.Random(number))
    points = compiled(tmp_path, number, found)

    table = await read_image(model, number, points)

    wrong = []
    for n, (ref, point) in enumerate(found):
        expected = point.cvalue
        if point.pdef["type"] == "string":
            same = table.texts.get(n) == expected and math.isnan(table.value[n])
        else:
            same = table.value[n] == pytest.approx(float(expected), rel=1e-9, abs=1e-12)
        if not same or table.quality[n] != Quality.GOOD:
            wrong.append((ref, expected, table.value[n], table.texts.get(n), Reason(table.reason[n]).name))
    assert wrong == []
    assert len(found) >= 7


@pytest.mark.parametrize("number", MODELS)
async def test_what_the_device_does_not_implement_has_no_value(number: int, tmp_path: Path) -> None:
    """An accumulator of 0, 0x8000, 0xFFFF, NaN and an empty text are all the same: nothing is known."""
    model, found = points_of(number)
    points = compiled(tmp_path, number, found)

    table = await read_image(model, number, points)

    there = {"ID", "L", *COUNTS}
    for n, (ref, _) in enumerate(found):
        if ref.rpartition(".")[2] in there and ref.count(".") == 1:
            assert table.quality[n] == Quality.GOOD, ref
        else:
            assert table.quality[n] == Quality.BAD, ref
            assert table.reason[n] in (Reason.SENTINEL, Reason.NOT_A_NUMBER), ref
            assert math.isnan(table.value[n]), ref


@pytest.mark.parametrize("number", [103, 124, 201, 203, 701, 704, 705, 714, 802, 803])
async def test_a_scale_factor_that_is_not_implemented_makes_its_points_absent(number: int, tmp_path: Path) -> None:
    """Without it a value could be anything between a milliwatt and a gigawatt."""
    model, found = points_of(number)
    filled(found, random.Random(number))
    for _, point in found:
        if point.pdef["type"] == "sunssf":
            point.value = -32768
    points = compiled(tmp_path, number, found)

    table = await read_image(model, number, points)

    scaled = [n for n, (_, point) in enumerate(found) if point.sf_required]
    assert len(scaled) >= 3
    assert {int(table.reason[n]) for n in scaled} == {Reason.SENTINEL}


@pytest.mark.parametrize("number", MODELS)
def test_the_length_of_a_model_is_pysunspec2s(number: int) -> None:
    """The simulator lays models out by it."""
    model = reference_model(number)
    assert model_words(number, {f"{number}.{name}": n for name, n in COUNTS.items()}) == len(model.get_mb()) // 2
