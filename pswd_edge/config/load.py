"""The way in: a site file and its maps to a compiled site, or to the list of everything that is wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from pswd_edge.config.compile_site import compile_form
from pswd_edge.config.document import Document, read_document
from pswd_edge.config.form import read_form
from pswd_edge.config.limits import limit_warnings
from pswd_edge.config.map_form import MapFile
from pswd_edge.config.maps import MAP_FOLDERS, find_map, known_maps, read_map
from pswd_edge.config.mistakes import Mistakes, shown
from pswd_edge.config.secret_checks import check_secrets
from pswd_edge.config.site_checks import check_site_form
from pswd_edge.config.site_form import SiteFile
from pswd_edge.errors import ConfigError
from pswd_edge.model.site import Site

DriverConfigs = Mapping[str, type[BaseModel]]


class Compiled(NamedTuple):
    """A site without mistakes, and what may be unwise about it, one sentence each."""

    site: Site
    warnings: list[str]


class Read(NamedTuple):
    """What could be read: `compiled` is None where there are problems."""

    problems: list[str]
    warnings: list[str]
    compiled: Compiled | None


def load_site(
    path: Path, environment: Mapping[str, str], driver_configs: DriverConfigs | None = None
) -> Site:
    """The compiled site. Raises ConfigError with every mistake of the file and of its maps.

    `driver_configs` are the drivers' `Config` models by driver name; without them the drivers' own keys are not
    checked.
    """
    return compile_site(path, environment, driver_configs).site


def compile_site(
    path: Path, environment: Mapping[str, str], driver_configs: DriverConfigs | None = None
) -> Compiled:
    """As `load_site`, with the warnings beside the site."""
    read = read_site(path, environment, driver_configs)
    if read.compiled is None:
        raise ConfigError(read.problems)
    return read.compiled


def read_site(path: Path, environment: Mapping[str, str], driver_configs: DriverConfigs | None = None) -> Read:
    """Read, check and compile; never raises for what stands in the files."""
    mistakes = Mistakes()
    document = read_document(path, environment, mistakes)
    if document is None:
        return Read(mistakes.lines(), [], None)
    check_secrets(document, mistakes)
    form = read_form(SiteFile, document, document.root, (), mistakes)
    maps = _read_maps(form, document, mistakes)
    check_site_form(form, document, maps, driver_configs, mistakes)
    warnings = limit_warnings(form, maps, document)
    if mistakes:
        return Read(mistakes.lines(), warnings, None)
    site = compile_form(form, maps)
    return Read([], warnings, Compiled(site, warnings))


def map_folders(form: SiteFile, site_file: str) -> tuple[Path, ...]:
    """Where maps are looked for; `maps_dir` is relative to the site file."""
    if not form.maps_dir:
        return MAP_FOLDERS
    return (*MAP_FOLDERS, Path(site_file).parent / form.maps_dir)


def _read_maps(form: SiteFile, document: Document, mistakes: Mistakes) -> dict[str, MapFile]:
    """Every map that the site names, by name; the unusable ones are left out and noted."""
    folders = map_folders(form, document.file)
    maps: dict[str, MapFile] = {}
    tried: set[str] = set()
    for id_, device in form.devices.items():
        if not device.map or device.map in maps:
            continue
        path = find_map(device.map, folders)
        if path is None:
            place = ("devices", id_, "map")
            known = ", ".join(known_maps(folders))
            mistakes.add(
                document.file, document.line(place), f"devices.{id_}.map", shown(device.map), f"one of {known}"
            )
        elif device.map not in tried and (read := read_map(path, mistakes)) is not None:
            maps[device.map] = read.form
        tried.add(device.map)
    return maps
