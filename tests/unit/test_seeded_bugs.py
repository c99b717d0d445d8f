"""The list of seeded bugs fits the code, so that `make seeded-bugs` tries what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.seeded_bugs.bugs import BUGS, Bug

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_changes_one_place_of_the_code_and_names_tests(bug: Bug) -> None:
    text = (ROOT / bug.file).read_text(encoding="utf-8")

    assert text.count(bug.old) == 1
    assert bug.old != bug.new
    for word in bug.tests.split():
        file, _, test = word.partition("::")
        assert (
            f"\ndef {test}(" in (ROOT / file).read_text(encoding="utf-8") if test else (ROOT / file).is_file()
        )


def test_there_are_enough_bugs_and_each_has_its_own_name() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 80
