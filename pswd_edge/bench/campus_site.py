"""A simulated campus with more devices than it has: cheap meters on loopback beside those of the site file."""

from pathlib import Path

import yaml

REGISTERS = 100
CIRCUITS = 12                 # of the whole site: what an answer of power lists with each row
CHEAP_PORT = 15098

_MAP = """map: bench-meter
kind: meter
driver: modbus
vendor: Benchmark
source: "simulators/servers/cheap.py"
rung: drafted
defaults: {register: holding, type: uint16, every: cycle}
points:
  - {signal: active_power_w, unit: W, address: 0, range: [0, 65535], name: "Register 0"}
"""


def with_cheap_meters(site: Path, devices: int, folder: Path, port: int = CHEAP_PORT) -> Path:
    """A copy of a site file with as many meters more as make `devices`, each on a connection of its own to `port`.

    Each has 100 registers, read in every cycle; the first ones have a circuit each, so that there are twelve. In the
    site file `connections:`, `devices:` and `circuits:` stand on their own.
    """
    text = site.read_text(encoding="utf-8")
    known = yaml.safe_load(text)
    more = range(devices - len(known["devices"]))
    metered = range(min(len(more), CIRCUITS - len(known["circuits"])))
    root = next(name for name, circuit in known["circuits"].items() if "parent" not in circuit)
    maps = folder / "maps"
    maps.mkdir(parents=True, exist_ok=True)
    rows = [f'  - {{id: register_{r}, unit: "1", address: {r}, range: [0, 65535], name: "Register {r}"}}\n'
            for r in range(1, REGISTERS)]
    (maps / "bench-meter.yaml").write_text(_MAP + "".join(rows), encoding="utf-8")
    connections = [f"  bench-{n}: {{driver: modbus, host: 127.0.0.1, port: {port}}}\n" for n in more]
    trend = ["", ", trend: [active_power_w]"]
    meters = [f"  bench-{n}: {{map: bench-meter, connection: bench-{n}, unit: 1{trend[n in metered]}}}\n" for n in more]
    circuits = [f"  bench-{n}: {{parent: {root}, rating_w: 1_000_000, meter: bench-{n}}}\n" for n in metered]
    text = text.replace("\nconnections:\n", "\nmaps_dir: maps\nconnections:\n" + "".join(connections), 1)
    text = text.replace("\ndevices:\n", "\ndevices:\n" + "".join(meters), 1)
    text = text.replace("\ncircuits:\n", "\ncircuits:\n" + "".join(circuits), 1)
    path = folder / site.name
    path.write_text(text, encoding="utf-8")
    return path
