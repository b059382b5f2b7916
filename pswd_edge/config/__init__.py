"""YAML to the compiled site: every mistake at once, each with file, line, what was found and what was expected."""

from pswd_edge.config.check import Checked, check_site
from pswd_edge.config.load import Compiled, compile_site, load_site
from pswd_edge.config.map_form import MapFile
from pswd_edge.config.maps import load_map
from pswd_edge.config.secrets import resolve_secret

__all__ = ["Checked", "Compiled", "MapFile", "check_site", "compile_site", "load_map", "load_site", "resolve_secret"]
