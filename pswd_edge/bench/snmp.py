"""`pswd-edge bench snmp`: the whole control process polling A SNMP agents of N objects each."""

from pathlib import Path
from typing import Any

from pswd_edge.bench.field import bench_folder, process, stored, watch
from pswd_edge.bench.site import bench_site
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import Point, SnmpAddress
from pswd_edge.model.site import Site

_TREE = "1.3.6.1.4.1.20408.9"  # of simulators/servers/cheap_snmp.py


def run(agents: int, oids: int, seconds: float, period_ms: int, port: int) -> dict[str, Any]:
    """Measure against agents of one process that only patch a request id into an answer made before."""
    with bench_folder() as folder:
        site = snmp_site(agents, oids, port, period_ms, folder)
        words = ("--port", str(port), "--agents", str(agents), "--oids", str(oids))
        with process("simulators.servers.cheap_snmp", *words) as simulator:
            assert simulator.stdout is not None, "process() pipes it"
            simulator.stdout.readline()
            with process("pswd_edge.bench.child", str(stored(site, folder))) as child:
                found = watch(child.pid, Path(site.runtime_dir), seconds)
    return {"agents": agents, "oids": oids, "period_ms": period_ms, "seconds": seconds, **found}


def snmp_site(agents: int, oids: int, port: int, period_ms: int, folder: Path) -> Site:
    """Each agent has a connection and a port of its own, from `port` on; all objects are asked every cycle."""
    points = tuple(
        Point(index=a * oids + n, id=f"agent-{a}.object_{n}", device=a, signal=f"object_{n}", unit="1",
              address=SnmpAddress(f"{_TREE}.{n + 1}.0", "Gauge32"), scale=0.1, minimum=0.0, maximum=1e9,
              period_ms=period_ms, trend=a == 0) for a in range(agents) for n in range(oids))
    base = bench_site(1, port, period_ms, folder)
    settings = {"host": "127.0.0.1", "version": "2c", "community_secret": "bench"}
    return Site(
        id=base.id, facility_id=base.facility_id, name=base.name,
        connections=tuple(Connection(a, f"c{a}", "snmp", {**settings, "port": port + a}) for a in range(agents)),
        devices=tuple(Device(a, f"agent-{a}", "pdu", a, 1, "bench", a * oids, oids) for a in range(agents)),
        points=points, circuits=(), control=base.control, state_dir=base.state_dir, runtime_dir=base.runtime_dir)
