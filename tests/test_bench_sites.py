"""The sites that benchmarks make of themselves are what they say they are."""

from pathlib import Path

from pswd_edge.app import compiled_site
from pswd_edge.bench.site import REGISTERS, bench_site
from pswd_edge.commands.bench_event import in_fast_lane

DEMO = Path(__file__).parents[1] / "config" / "demo.yaml"


def test_only_the_devices_that_close_the_loop_are_in_the_fast_lane(tmp_path: Path) -> None:
    """A copy that still read everything every 20 ms would measure another thing."""
    site = compiled_site(in_fast_lane(DEMO, 20, tmp_path))

    fast = {site.devices[p.device].id for p in site.points if p.period_ms == 20}
    assert site.control.period_ms == 20
    assert fast == {"pcc", "bess-1", "bess-2"}
    assert {p.period_ms for p in site.points} == {20, 100, 1000, 10_000}


def test_a_bench_site_shares_connections_and_classes_as_told(tmp_path: Path) -> None:
    """Units behind one gateway, a last connection elsewhere, and some devices slower than the cycle."""
    site = bench_site(10, 1502, 20, tmp_path, fast=3, units=4, last_port=1503)

    assert [c.settings["port"] for c in site.connections] == [1502, 1502, 1503]
    assert [(d.connection, d.unit) for d in site.devices][3:6] == [(0, 4), (1, 1), (1, 2)]
    assert [site.points[d * REGISTERS].period_ms for d in range(10)] == [20] * 3 + [100] * 7
