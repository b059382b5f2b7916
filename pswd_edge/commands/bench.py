"""`pswd-edge bench`: measurements that anyone can repeat."""

import argparse
import json

from pswd_edge.bench import field


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("what", choices=["field"], help="field: the control process polling D devices")
    parser.add_argument("--devices", type=int, default=100, help="Modbus devices of 100 registers each (default 100)")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--period-ms", type=int, default=100)
    parser.add_argument("--port", type=int, default=15099, help="loopback port of the cheap simulator")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(options: argparse.Namespace) -> int:
    """0 where every poll was answered and no slot missed."""
    found = field.run(options.devices, options.seconds, options.period_ms, options.port)
    if options.json:
        print(json.dumps(found))
    else:
        for key, value in found.items():
            print(f"{key:24} {value}")
    return 0 if found["slots_missed"] == 0 and found["polls_done"] else 1
