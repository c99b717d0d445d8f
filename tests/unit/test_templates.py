"""The shape of the templates that djangofmt leaves to their writers; it is run by make lint too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("templates", "notifications/channels")
MOST_COLUMNS = 120
BLOCK_LEVEL = (
    "address|article|aside|blockquote|body|caption|dd|details|dialog|div|dl|dt|fieldset|figcaption|figure|footer"
    "|form|h[1-6]|header|hr|html|legend|li|main|nav|ol|p|pre|section|summary|table|tbody|td|tfoot|th|thead|tr|ul"
)
BEGINS_BLOCK = re.compile(rf"<(?:{BLOCK_LEVEL})(?=[\s>])")


def _lines() -> Iterator[tuple[str, str]]:
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.html")):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def test_lines_of_templates_fit() -> None:
    too_long = [f"{place}: {len(line)} columns" for place, line in _lines() if len(line) > MOST_COLUMNS]

    assert not too_long, f"lines of more than {MOST_COLUMNS} columns:\n" + "\n".join(too_long)


def test_a_line_begins_one_block_level_element() -> None:
    found = [(place, BEGINS_BLOCK.findall(line)) for place, line in _lines()]
    crowded = [f"{place}: {' '.join(names)}" for place, names in found if len(names) > 1]

    assert not crowded, "lines with two block-level elements:\n" + "\n".join(crowded)
