"""Finding and reading device maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pswd_edge.config.document import Document, read_document
from pswd_edge.config.form import read_form
from pswd_edge.config.map_checks import check_map
from pswd_edge.config.map_form import MAP_FORMS, MapFile, ModbusMap, SnmpMap
from pswd_edge.config.mistakes import Mistakes, shown
from pswd_edge.config.repeat import repeated
from pswd_edge.config.sunspec_rows import place_rows
from pswd_edge.errors import ConfigError

_PACKAGE = Path(__file__).parents[1]
MAP_FOLDERS = (_PACKAGE.parent / "devices", _PACKAGE / "_devices")


class ReadMap(NamedTuple):
    """A map with its document, which knows the lines."""

    form: MapFile
    document: Document


def load_map(name_or_path: str | Path, folders: Sequence[Path] = MAP_FOLDERS) -> MapFile:
    """Read one device map, by name or by path. Raises ConfigError with every mistake in it."""
    mistakes = Mistakes()
    text = str(name_or_path)
    path = Path(text) if text.endswith((".yaml", ".yml")) else find_map(text, folders)
    if path is None:
        raise ConfigError([f"device map {text!r}: not found in {_list(folders)}; there are: {_names(folders)}"])
    read = read_map(path, mistakes)
    if mistakes or read is None:
        raise ConfigError(mistakes.lines())
    return read.form


def find_map(name: str, folders: Sequence[Path]) -> Path | None:
    """The file of a map, in the first folder that has it."""
    for folder in folders:
        for path in folder.glob("*.yaml"):
            if path.stem == name:
                return path
    return None


def known_maps(folders: Sequence[Path]) -> list[str]:
    """The names of all maps in these folders, sorted."""
    return sorted({path.stem for folder in folders if folder.is_dir() for path in folder.glob("*.yaml")})


def read_map(path: Path, mistakes: Mistakes) -> ReadMap | None:
    """Read and check one map file; what is wrong goes to `mistakes`. None where nothing of it can be used."""
    document = read_document(path, None, mistakes)
    if document is None:
        return None
    driver = document.root.get("driver")
    form = MAP_FORMS.get(driver) if isinstance(driver, str) else None
    if form is None:
        mistakes.add(
            document.file, document.line(("driver",)), "driver", shown(driver), "one of " + ", ".join(MAP_FORMS)
        )
        return None
    if form is SnmpMap:
        document = repeated(document, mistakes)
    read = read_form(form, document, document.root, (), mistakes)
    if isinstance(read, ModbusMap):
        read = place_rows(read, document, mistakes)
    check_map(read, document, path.stem, mistakes)
    return ReadMap(read, document)


def _names(folders: Sequence[Path]) -> str:
    return ", ".join(known_maps(folders)) or "none"


def _list(folders: Sequence[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)
