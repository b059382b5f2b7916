"""docs/lessons.md: every test that it names exists, and no number is left out."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "lessons.md").read_text()
FOUND = {name for path in (ROOT / "tests").rglob("test_*.py")
         for name in re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)}


def test_every_test_that_the_page_names_exists() -> None:
    """A promise without a test is none."""
    named = set(re.findall(r"`(test_\w+)`", PAGE))

    assert len(named) > 40
    assert sorted(named - FOUND) == []


def test_every_complaint_has_a_test() -> None:
    """Of the field's own rows."""
    rows = dict(re.findall(r"^\| (\d+) \|(.*)$", PAGE, re.MULTILINE))

    assert [int(n) for n in rows] == [*range(1, 19), *range(22, 28)]
    assert all("`test_" in text for text in rows.values())
