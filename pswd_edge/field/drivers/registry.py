"""Drivers by name, from the entry points of what is installed; our own are found in the same way."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from pydantic import BaseModel

from pswd_edge.errors import ConfigError
from pswd_edge.field.drivers.base import Driver

GROUP = "pswd_edge.drivers"


def find_driver(name: str) -> type[Driver]:
    """The driver class of this name; imports its module and no other.

    Raises:
        ConfigError: none or several are installed under the name, or its module cannot be imported.
    """
    installed = entry_points(group=GROUP)
    found = [point for point in installed if point.name == name]
    if len(found) != 1:
        raise ConfigError([_miscount(name, found, sorted({point.name for point in installed}))])
    try:
        return cast("type[Driver]", found[0].load())
    except (ImportError, AttributeError) as error:
        raise ConfigError([f"driver {name!r}: {found[0].value} cannot be loaded: {error}"]) from error


def driver_configs(names: Iterable[str]) -> dict[str, type[BaseModel]]:
    """The settings model of each named driver. Raises ConfigError with one line per name that fails."""
    configs: dict[str, type[BaseModel]] = {}
    problems: list[str] = []
    for name in sorted(set(names)):
        try:
            configs[name] = find_driver(name).Config
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return configs


def _miscount(name: str, found: list[EntryPoint], installed: list[str]) -> str:
    if found:
        sources = ", ".join(point.value for point in found)
        return f"driver {name!r}: {len(found)} installed, expected 1; they are: {sources}"
    return f"driver {name!r}: 0 installed, expected 1; installed are: {', '.join(installed) or 'none'}"
