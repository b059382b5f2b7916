"""`pswd-edge bench opcua`: the whole control process reading S OPC UA servers of N nodes each in every cycle.

The servers are one process that answers from prepared bytes, so that what is measured is the client. The site is built
in code: one connection, one device and one Read a server.
"""

from pathlib import Path
from typing import Any

from pswd_edge.bench.field import bench_folder, process, stored, watch
from pswd_edge.bench.site import bench_site
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import OpcUaAddress, Point
from pswd_edge.model.site import Site

URI = "urn:pswd-edge:cheap"  # of simulators/servers/cheap_opcua.py


def opcua_site(ports: list[int], nodes: int, period_ms: int, folder: Path) -> Site:
    """A server a port; everything is read in every cycle, and the first node is the grid's power."""
    base = bench_site(1, 1, period_ms, folder)
    points = [
        Point(index=s * nodes + n, id=f"meter-{s}.node_{n}", device=s, signal=f"node_{n}", unit="1",
              address=OpcUaAddress(f"nsu={URI};i={n + 1}"), period_ms=period_ms)
        for s in range(len(ports)) for n in range(nodes)]
    return Site(
        id="bench", facility_id="bench", name="Benchmark",
        connections=tuple(Connection(s, f"c{s}", "opcua", {"url": f"opc.tcp://127.0.0.1:{port}"})
                          for s, port in enumerate(ports)),
        devices=tuple(Device(s, f"meter-{s}", "meter", s, 0, "bench", s * nodes, nodes) for s in range(len(ports))),
        points=tuple(points), circuits=(), control=base.control, state_dir=base.state_dir,
        runtime_dir=base.runtime_dir)


def run(servers: int, nodes: int, seconds: float, period_ms: int) -> dict[str, Any]:
    """Measure the control process for `seconds`, after two to warm up."""
    words = ("simulators.servers.cheap_opcua", "--ports", str(servers), "--nodes", str(nodes))
    with bench_folder() as folder, process(*words) as devices:
        assert devices.stdout is not None  # it is piped
        ports = [int(p) for p in devices.stdout.readline().strip().removeprefix("ready ports=").split(",")]
        site = opcua_site(ports, nodes, period_ms, folder)
        with process("pswd_edge.bench.child", str(stored(site, folder))) as child:
            found = watch(child.pid, Path(site.runtime_dir), seconds)
    values = max(1, found["polls_done"]) * nodes / seconds
    return {"servers": servers, "nodes": nodes, "period_ms": period_ms, "seconds": seconds, **found,
            "values_per_s": round(values), "cpu_us_per_value": round(found["cpu_us_per_poll"] / nodes, 2)}
