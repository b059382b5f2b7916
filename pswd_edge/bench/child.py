"""The control process of a benchmark: `python -m pswd_edge.bench.child SITE.bin`."""

import sys
from pathlib import Path

from pswd_edge.app import run_control
from pswd_edge.log import configure_log
from pswd_edge.model.site import decode_site

if __name__ == "__main__":
    configure_log("error")
    run_control(decode_site(Path(sys.argv[1]).read_bytes()))
