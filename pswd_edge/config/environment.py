"""Variables in a site file: `${NAME}` and `${NAME:-default}`, replaced before the file is read as YAML."""

import re
from collections.abc import Mapping

from pswd_edge.config.mistakes import UNSET, Mistakes

_VARIABLE = re.compile(r"\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<rest>[^}\s]*\}?))")
_TEXT = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|(?:(?<=\S)\#)|[^\#"']|["'])*""")


def replace_variables(text: str, environment: Mapping[str, str], file: str, mistakes: Mistakes) -> str:
    """The text with its variables replaced; as in a shell, an empty variable takes the default.

    Comments are left alone. An unset variable without default is a mistake; `UNSET` stands in its place.
    """
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        lines.append(_replace_line(line, environment, file, number, mistakes))
    return "\n".join(lines)


def _replace_line(line: str, environment: Mapping[str, str], file: str, number: int, mistakes: Mistakes) -> str:
    if "${" not in line:
        return line
    match = _TEXT.match(line)
    end = match.end() if match else len(line)

    def value(found: re.Match[str]) -> str:
        name, default = found["name"], found["default"]
        if name is None:
            mistakes.add(file, number, "", found[0], "${NAME} or ${NAME:-default}")
            return UNSET
        known = environment.get(name) or default
        if known is None and name not in environment:
            mistakes.add(file, number, "", f"${{{name}}}, which is not set", "a variable of the environment, "
                         f"or a default: ${{{name}:-value}}")
            return UNSET
        if "\n" in (known or ""):
            mistakes.add(file, number, "", f"${{{name}}} with a line break", "a value of one line")
            return UNSET
        return known or ""

    return _VARIABLE.sub(value, line[:end]) + line[end:]
