"""`python -m pswd_edge`."""

import sys

from pswd_edge.cli import main

sys.exit(main())
