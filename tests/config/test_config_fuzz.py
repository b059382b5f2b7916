"""Whatever stands in a file, the checker answers with mistakes or with a site, never with a traceback."""

import random
import re
from pathlib import Path

import pytest

from pswd_edge.config import check_site, load_map
from pswd_edge.errors import ConfigError

ROOT = Path(__file__).parents[2]
SITE = (Path(__file__).parent / "small.yaml").read_text()
MAP = (ROOT / "devices" / "sunspec-bess-7xx.yaml").read_text()
TOKENS = (
    "", "[]", "{}", "null", "true", "-1", "1e999", "9" * 400, "[1, 2]", "{a: 1}", "${X}", "*a", "&a b", ".inf",
    "\n", ": ", "- ", "#", "\t", "[[[", "!!binary x", '"', "|", "a\0b",
)


def broken(text: str, chance: random.Random) -> str:
    """The text with one to four words replaced, by a stray token or by another of its words."""
    for _ in range(chance.randint(1, 4)):
        words = list(re.finditer(r"[A-Za-z0-9_.-]+", text))
        one, other = chance.choice(words), chance.choice(words)
        text = text[: one.start()] + chance.choice((*TOKENS, other[0])) + text[one.end() :]
    return text


@pytest.mark.parametrize("seed", range(60))
def test_a_broken_site_file_gives_problems_or_a_site(seed: int, tmp_path: Path) -> None:
    """An exception in the checker would hide every mistake that it was to show."""
    path = tmp_path / "site.yaml"
    path.write_text(broken(SITE, random.Random(seed)))

    found = check_site(path, {})

    assert bool(found.problems) == (found.site is None)


@pytest.mark.parametrize("seed", range(30))
def test_a_broken_map_gives_problems_or_a_map(seed: int, tmp_path: Path) -> None:
    """A map of a third party is as trusted as any other text."""
    path = tmp_path / "sunspec-bess-7xx.yaml"
    path.write_text(broken(MAP, random.Random(seed)))

    problems, rows = [], ()
    try:
        rows = load_map(path).rows
    except ConfigError as error:
        problems = error.problems

    assert bool(problems) == (not rows)
    assert all(line.startswith(f"{path}:") for line in problems)
