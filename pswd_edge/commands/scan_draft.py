"""What was found, as drafts of a site file and of device maps. Nothing that exists is overwritten."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from pswd_edge.commands.scan_found import Find
from pswd_edge.config.map_form import ModbusMap
from pswd_edge.config.maps import MAP_FOLDERS, known_maps, load_map
from pswd_edge.errors import ConfigError, PswdError
from pswd_edge.model.signal import find_signal
from pswd_edge.model.unit import UNITS

SITE_FILE = "site-draft.yaml"
_METER = {"active_power_w": "W", "reactive_power_var": "VAR", "apparent_power_va": "VA", "frequency_hz": "Hz",
          "voltage_l1_v": "PhVphA", "voltage_l2_v": "PhVphB", "voltage_l3_v": "PhVphC", "current_l1_a": "AphA",
          "current_l2_a": "AphB", "current_l3_a": "AphC", "energy_import_wh": "TotWhImp",
          "energy_export_wh": "TotWhExp"}
_INVERTER = {"active_power_w": "W", "frequency_hz": "Hz", "voltage_l1_v": "PhVphA", "state": "St"}
SUNSPEC: dict[int, dict[str, str]] = {
    **dict.fromkeys((201, 202, 203, 204, 211, 212, 213, 214), _METER),
    **dict.fromkeys((101, 102, 103, 111, 112, 113), _INVERTER),
    701: {"active_power_w": "W", "reactive_power_var": "Var", "frequency_hz": "Hz", "state": "InvSt"},
    713: {"soc_percent": "SoC", "soh_percent": "SoH"},
    802: {"soc_percent": "SoC", "soh_percent": "SoH", "dc_voltage_v": "V", "dc_current_a": "A", "power_w": "W",
          "state": "State"},
}
"""Signals and the points of SunSpec models that measure them. PF is left out: its unit differs from model to model."""
_STORAGE = {124, 713, 714, 715, 802, 803, 804, 805, 806, 807, 808, 809}


class Draft:
    """One find with its names in the site file; `map_text` is None where a known map fits or nothing is known."""

    def __init__(self, find: Find, taken: set[str]) -> None:
        self.find = find
        self.connection = slug("c", find.host, str(find.port))
        self.device = _free(slug("d", find.host, str(find.unit or find.port)), taken)
        self.map_text = _map_text(find, self.device)
        self.map = find.maps[0] if find.maps and self.map_text is None else self.device if self.map_text else None


def slug(*parts: str) -> str:
    """A name that ids may have."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def _free(name: str, taken: set[str]) -> str:
    found, n = name, 2
    while found in taken:
        found, n = f"{name}-{n}", n + 1
    taken.add(found)
    return found


def suggest(find: Find) -> None:
    """Add the known maps that its identity or its SunSpec models point to, those with most common words first."""
    words, fitting = _words(find.title), []
    for name in known_maps(MAP_FOLDERS) if find.protocol == "modbus" and not find.models else ():
        try:
            form = load_map(name)
        except ConfigError:
            continue
        common = words & _words(f"{form.vendor} {form.map}")
        if isinstance(form, ModbusMap) and any(w.isalpha() for w in common):
            fitting.append((-len(common), name))
    find.maps += [name for _, name in sorted(fitting) if name not in find.maps]
    find.maps += [n for m in find.models for n in known_maps(MAP_FOLDERS) if re.fullmatch(rf"sunspec-\w+-{m}", n)]


def _words(text: str) -> set[str]:
    """Words and numbers of three characters or more: "UMG 801" and "umg801" say the same."""
    return {w for w in re.findall(r"[a-z]+|[0-9]+", text.lower()) if len(w) > 2}


# --- maps -------------------------------------------------------------------------------------------------------------


def _map_text(find: Find, name: str) -> str | None:
    rows = list(_sunspec_rows(find)) if find.models else list(_node_rows(find)) if not find.maps else []
    if not rows:
        return None
    kind, who = kind_of(find), find.title or "not known"
    source = f"drafted by pswd-edge scan from what {find.where} says of itself"
    head = [f"# {who}. Check every row against the manual before it is used: signs, units and what is missing.",
            f"map: {name}", f"kind: {kind}", f"driver: {find.protocol}", f"vendor: {_text(who)}",
            f"source: {_text(source)}", "rung: drafted", "points:"]
    return "\n".join([*head, *(f"  - {row}" for row in rows)]) + "\n"


def kind_of(find: Find) -> str:
    """A guess: storage models make a battery, everything else a meter."""
    return "battery" if _STORAGE & set(find.models) else "meter"


def _sunspec_rows(find: Find) -> Iterator[str]:
    kind, said = kind_of(find), set()
    for model in dict.fromkeys(find.models):
        for signal, point in SUNSPEC.get(model, {}).items():
            name = "power_w" if kind == "battery" and signal == "active_power_w" else signal
            known = find_signal(kind, name) is not None
            key = name if known and name not in said else f"{name}_{model}"
            said.add(key)
            yield f'{{{"signal" if key == name and known else "id"}: {key}, sunspec: "{model}.{point}"}}'


def _node_rows(find: Find) -> Iterator[str]:
    said: set[str] = set()
    for v in find.variables:
        unit, key = v.unit if v.unit in UNITS else "1", _free(slug(v.name).replace("-", "_") or "value", said)
        yield f'{{id: {key}, unit: "{unit}", node: {_text(v.node)}, type: {v.type}}}'


def _text(text: str) -> str:
    """A YAML scalar in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- the site ---------------------------------------------------------------------------------------------------------


def site_text(drafts: Sequence[Draft], when: str) -> str:
    """Connections and devices to be copied into a site file; what is not known stands as a comment."""
    lines = [f"# Drafted by pswd-edge scan, {when}. Not a whole site: copy what is right into yours.",
             "maps_dir: devices", "connections:"]
    lines += [f"  {d.connection}: {_connection(d.find)}" for d in {d.connection: d for d in drafts}.values()]
    lines.append("devices:")
    for d in drafts:
        lines += [f"  # {d.find.where}: {' '.join(filter(None, (d.find.title, _models(d.find)))) or 'says nothing'}"]
        lines += [f"  # {note}" for note in d.find.notes]
        if len(d.find.maps) > 1 or (d.find.maps and d.map != d.find.maps[0]):
            lines.append(f"  # known maps that may fit: {', '.join(d.find.maps)}")
        unit = "" if d.find.unit is None else f", unit: {d.find.unit}"
        if d.map is None:
            lines.append(f"  # no map is known: pswd-edge probe {d.find.protocol} {d.find.host}:{d.find.port} "
                         f"{'' if d.find.unit is None else f'{d.find.unit} --address N'}".rstrip())
        off = "# " if d.map is None else ""
        lines.append(f"  {off}{d.device}: {{map: {d.map or '?'}, connection: {d.connection}{unit}}}")
    return "\n".join(lines) + "\n"


def _models(find: Find) -> str:
    return f"SunSpec at {find.sunspec_base}: {', '.join(map(str, find.models))}" if find.models else ""


def _connection(find: Find) -> str:
    if find.protocol == "opcua":
        url = f"opc.tcp://{find.host}:{find.port}{find.identity.get('path', '')}"
        return f"{{driver: opcua, url: {_text(url)}}}"
    more = "" if find.protocol == "modbus" else "    # with version, user and secrets as they were given to the scan"
    return f"{{driver: {find.protocol}, host: {_text(find.host)}, port: {find.port}}}{more}"


def write_drafts(folder: Path, finds: Sequence[Find], when: str) -> list[Path]:
    """Write the drafts into new files; returns them. Raises PswdError where a name is taken."""
    taken: set[str] = set(known_maps(MAP_FOLDERS)) | set(known_maps([folder / "devices"]))
    drafts = [Draft(find, taken) for find in finds]
    texts = {folder / SITE_FILE: site_text(drafts, when)}
    texts |= {folder / "devices" / f"{d.device}.yaml": d.map_text for d in drafts if d.map_text is not None}
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        yaml.safe_load(text)  # our own mistakes show here, not at night
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise PswdError(f"{path}: is there already and is not overwritten; give another --out") from error
    return list(texts)
