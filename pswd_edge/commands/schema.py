"""`pswd-edge schema`: the JSON Schemas that editors use for site and device-map files."""

import argparse
from pathlib import Path

from pswd_edge.config.schema import write_schemas


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--folder", type=Path, default=Path("config/schema"))


def run(options: argparse.Namespace) -> int:
    """0 when both are written."""
    write_schemas(options.folder)
    print(f"site.schema.json and map.schema.json are in {options.folder}")
    return 0
