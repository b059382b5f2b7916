"""`pswd-edge check`: every mistake at once."""

import argparse
import json
import os
from pathlib import Path

from pswd_edge.app import DRIVERS
from pswd_edge.config.check import check_site
from pswd_edge.field.drivers.registry import driver_configs
from pswd_edge.model.site import encode_site


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("site", type=Path, help="site file (YAML)")
    parser.add_argument("--compiled", type=Path, metavar="FILE", help="write the compiled site there, as a reload does")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(options: argparse.Namespace) -> int:
    """0 where the site may be started, 2 where it may not."""
    checked = check_site(options.site, os.environ, driver_configs(DRIVERS))
    if options.json:
        print(json.dumps({"problems": checked.problems, "warnings": checked.warnings}))
        return 2 if checked.problems else 0
    for line in checked.problems:
        print(line)
    for line in checked.warnings:
        print(f"warning: {line}")
    if checked.problems:
        print(f"{len(checked.problems)} mistakes; such a site is not started")
        return 2
    site = checked.site
    assert site is not None  # a site without problems was compiled
    if options.compiled is not None:
        options.compiled.write_bytes(encode_site(site))
    print(f"{options.site}: in order: {len(site.devices)} devices, {len(site.points)} points, "
          f"{len(site.connections)} connections, {len(checked.warnings)} warnings")
    return 0
