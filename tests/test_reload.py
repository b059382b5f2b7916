"""A changed site file under a running control: only the difference, nothing of an invalid one, and a way back."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pswd_edge import app
from pswd_edge import reload as reload_module
from pswd_edge.app import compiled_site, control
from pswd_edge.door import OPERATOR_SOCKET, DoorClient
from pswd_edge.image import ImageReader
from pswd_edge.model.command import Accepted, Outcome, Rejected, Reload
from pswd_edge.model.quality import Quality
from tests.field.fieldmaker import RawDevice, until

MAP = """
map: plain-meter
kind: meter
driver: modbus
vendor: test
source: test
rung: drafted
defaults: {type: uint16}
points:
  - {signal: active_power_w, unit: W, address: 10}
  - {signal: frequency_hz, unit: Hz, address: 11}
"""
SITE = """
site: {{id: reloaded, facility_id: campus, name: Reloaded}}
state_dir: {folder}/state
runtime_dir: {folder}/run
maps_dir: {folder}
connections:
{connections}
devices:
{devices}
circuits:
  utility: {{rating_w: 140e6, meter: m0}}
control:
  grid_power: m0.active_power_w
  load_meters: [m1.active_power_w]
  ramp_limit_w_per_min: 10e6
  import_limit_w: 125e6
  load_range: {{floor_w: 20e6, ceiling_w: 100e6, maximum_w: 130e6}}
  delay_s: 0.25
  filter_hz: 0.15
  cooling_rating_w: 140e6
"""


class House:
    """A site file in a folder, and meters that it may name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "site.yaml"
        (folder / "plain-meter.yaml").write_text(MAP)
        self.meters: list[RawDevice] = []

    def write(self, ports: list[int], extra: str = "") -> None:
        """A site of one meter a port."""
        self.path.write_text(extra + SITE.format(
            folder=self.folder,
            connections="\n".join(f"  c{n}: {{driver: modbus, host: 127.0.0.1, port: {p}}}"
                                  for n, p in enumerate(ports)),
            devices="\n".join(f"  m{n}: {{map: plain-meter, connection: c{n}, trend: [active_power_w]}}"
                              for n in range(len(ports)))))

    async def reload(self) -> Outcome:
        client = DoorClient(self.folder / "run" / OPERATOR_SOCKET)
        try:
            return await client.ask(Reload(id=str(uuid.uuid4()), origin="operator:test", role="operator",
                                           issued_utc_s=time.time()), 30.0)
        finally:
            client.close()

    def events(self, image: ImageReader) -> list[str]:
        return [e.code for e in image.events(0)]


@pytest.fixture(autouse=True)
def _the_collector_is_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control freezes what lives at its start, which here is the whole test run."""
    monkeypatch.setattr(app, "_tame_collector", lambda: None)


@asynccontextmanager
async def running(house: House) -> AsyncIterator[ImageReader]:
    task = asyncio.create_task(control(compiled_site(house.path), house.path))
    try:
        await until(lambda: task.done() or (house.folder / "run" / "image").exists(), 10.0)
        image = ImageReader(house.folder / "run")
        await until(lambda: task.done() or image.field_report() is not None, 10.0)
        yield image
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    made.meters = [await RawDevice().start() for _ in range(4)]
    made.write([m.port for m in made.meters[:3]])
    yield made
    for meter in made.meters:
        await meter.stop()


def good(image: ImageReader, device: str) -> bool:
    _, quality, _, _, _ = image.latest()
    found = image.site.devices[image.site.device_index[device]]
    return bool((quality[found.first_point : found.first_point + found.point_count] == Quality.GOOD).all())


async def test_only_what_changed_is_touched(house: House) -> None:
    """Row 25: a reload that restarts everything drops every session on a site for one new meter."""
    async with running(house) as image:
        await until(lambda: all(good(image, f"m{n}") for n in range(3)), 5.0)
        rows = image.row_count
        asked = len(house.meters[0].asked)
        house.write([m.port for m in (*house.meters[:2], house.meters[3])])  # the third is another one now

        outcome = await house.reload()

        assert isinstance(outcome, Accepted), outcome
        assert "connection changed: c2" in outcome.reason
        assert image.follow()
        await until(lambda: all(good(image, f"m{n}") for n in range(3)), 5.0)
        assert [m.connections for m in house.meters] == [1, 1, 1, 1]
        assert image.row_count > rows                             # the hour goes on
        await until(lambda: image.field_report() is not None, 2.0)
        found = image.field_report()
        assert found is not None
        kept = [link for link in found.links if link.connection in (0, 1)]
        assert {link.reconnects for link in kept} == {0}
        assert len(house.meters[0].asked) > asked
        await until(lambda: "reload_works" in house.events(image), 5.0)


async def test_an_untouched_device_misses_no_scan(house: House) -> None:
    """The switch is made between two cycles, whatever planning and compiling take."""
    async with running(house) as image:
        await until(lambda: all(good(image, f"m{n}") for n in range(3)), 5.0)
        house.meters[0].asked_s.clear()
        house.write([m.port for m in house.meters])

        assert isinstance(await house.reload(), Accepted)
        await asyncio.sleep(0.5)

        asked_s = list(house.meters[0].asked_s)
        report = None
        await until(lambda: image.follow() or True, 1.0)
        report = image.report()
        assert report is not None
        slots = (asked_s[-1] - asked_s[0]) / 0.1
        assert len(asked_s) - 1 >= slots - report.cycles_missed - 1


async def test_an_invalid_file_changes_nothing(house: House) -> None:
    """Every mistake is told, and the site goes on as it was."""
    async with running(house) as image:
        await until(lambda: good(image, "m0"), 5.0)
        house.write([m.port for m in house.meters], extra="nonsense: 1\n")

        outcome = await house.reload()

        assert isinstance(outcome, Rejected)
        assert "nonsense" in outcome.reason
        assert not image.follow()
        assert good(image, "m0")
        assert "reload_refused" in house.events(image)


async def test_what_belongs_to_the_process_needs_a_restart(house: House) -> None:
    """A cycle of another length cannot be changed under a running loop."""
    async with running(house):
        house.path.write_text(house.path.read_text().replace("  delay_s: 0.25", "  period_ms: 50\n  delay_s: 0.25"))

        outcome = await house.reload()

        assert isinstance(outcome, Rejected)
        assert "control.period_ms" in outcome.reason


async def test_a_site_that_does_not_work_is_undone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong port at night: after the watch the former site is back, without anybody."""
    monkeypatch.setattr(reload_module, "HEALTH_S", 1.0)
    async with running(house) as image:
        await until(lambda: all(good(image, f"m{n}") for n in range(3)), 5.0)
        await house.meters[3].stop()
        house.write([m.port for m in (*house.meters[:2], house.meters[3])])  # nobody listens there

        assert isinstance(await house.reload(), Accepted)
        await until(lambda: (image.follow() and False) or "reload_undone" in house.events(image), 8.0)

        image.follow()
        await until(lambda: all(good(image, f"m{n}") for n in range(3)), 5.0)
        assert house.meters[0].connections == 1
        assert house.meters[2].connections == 2
