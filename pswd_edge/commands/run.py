"""`pswd-edge run [control|gateway]`: a process of the site, or both under the supervisor."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from pswd_edge.app import compiled_site, run_control, run_gateway_process
from pswd_edge.log import configure_log
from pswd_edge.supervisor import Supervisor, site_children


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("process", nargs="?", choices=["control", "gateway"], help="one process; both without it")
    parser.add_argument("--site", type=Path, default=Path("config/site.yaml"), help="site file (YAML)")
    parser.add_argument("--runtime-dir", type=Path, help="gateway: where control's image and door are")
    parser.add_argument("--state-dir", type=Path, help="gateway: where users and keys are kept")
    parser.add_argument("--shadow", action="store_true", help="decide on live inputs and write nothing")
    parser.add_argument("--log-level", default=os.environ.get("PSWD_LOG_LEVEL", "info"))


def run(options: argparse.Namespace) -> int:
    """Until stopped."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # before anything slow: an early reload must not end the process
    folder = os.environ.get("PSWD_LOG_DIR")
    configure_log(options.log_level, Path(folder) / f"{options.process}.log" if folder and options.process else None)
    if options.process == "gateway":
        if options.runtime_dir is None or options.state_dir is None:
            print("pswd-edge run gateway: expected --runtime-dir and --state-dir", file=sys.stderr)
            return 2
        return run_gateway_process(options.runtime_dir, options.state_dir)
    site = compiled_site(options.site)
    if options.process == "control":
        run_control(site, options.site, shadow=options.shadow)
        return 0
    children = site_children(options.site, Path(site.runtime_dir), Path(site.state_dir), shadow=options.shadow)
    return asyncio.run(Supervisor(children).run())
