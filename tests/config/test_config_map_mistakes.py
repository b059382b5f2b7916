"""A device map is checked as far as a machine can; mistakes carry the map's own file and line."""

from pathlib import Path

import pytest
import yaml

from pswd_edge.config import check_site, load_map
from pswd_edge.errors import ConfigError

SMALL = (Path(__file__).parent / "small.yaml").read_text()
MAP = """map: test
kind: meter
driver: modbus
vendor: Test
source: "test"
rung: drafted
defaults: {type: int16}
points:
  - {signal: active_power_w, unit: W, address: 10}
  - {signal: frequency_hz, unit: Hz, address: 20}
"""
MUTATIONS: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / "map_mistakes.yaml").read_text())


@pytest.mark.parametrize("kind", MUTATIONS)
def test_a_mistake_in_a_device_map_is_named_with_its_line(kind: str, tmp_path: Path) -> None:
    """A map is written from a manual of 200 pages: what can be checked by machine must be."""
    mutation = MUTATIONS[kind]
    path = tmp_path / "test.yaml"
    path.write_text(MAP.replace(mutation["old"], mutation["new"]))

    with pytest.raises(ConfigError) as error:
        load_map(path)

    assert error.value.problems[0].startswith(f"{path}:{mutation['expected']}"), error.value.problems


def test_mistakes_of_the_site_and_of_its_maps_come_together(tmp_path: Path) -> None:
    """The map of the site's own folder is read with the site, and its mistakes carry its own file and line."""
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "test.yaml").write_text(MAP.replace("unit: Hz", "unit: kHz"))
    text = SMALL.replace("map: janitza-umg801", "map: test") + "maps_dir: maps\n"
    path = tmp_path / "site.yaml"
    path.write_text(text.replace("port: 1883", "port: 0"))

    found = check_site(path, {}).problems

    assert [line.partition(": got")[0] for line in found] == [
        f"{path}:46: uplink.port", f"{tmp_path}/maps/test.yaml:10: points[1].unit",
    ]
