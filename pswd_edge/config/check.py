"""What `pswd-edge check` shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pswd_edge.config.load import DriverConfigs, read_site
from pswd_edge.model.site import Site


class Checked(NamedTuple):
    """Problems stop the start, warnings do not; `site` is None where there are problems."""

    problems: list[str]
    warnings: list[str]
    site: Site | None


def check_site(
    path: Path, environment: Mapping[str, str], driver_configs: DriverConfigs | None = None
) -> Checked:
    """Check a site file with all its maps; never raises for what stands in them."""
    read = read_site(path, environment, driver_configs)
    return Checked(read.problems, read.warnings, read.compiled.site if read.compiled else None)
