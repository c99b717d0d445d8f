"""Validation of dependencies against the known task ids."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches

from scheduler.config_file.problems import Finding, shorten, suggesting
from scheduler.config_file.reasons import Code
from scheduler.engine.reasons import Reason

FIELD = "task_dependencies"
MOST_HINTS = 10
TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def find_unknown(
    upstreams: Iterable[object], known: Collection[str], *, hints: int = MOST_HINTS
) -> Iterator[Finding]:
    """Yield the upstreams that are not in `known`; values that are not valid ids are left to the schema.

    Args:
        hints: number of findings with a suggested id; a suggestion among 20,000 ids takes 0.1 s.
    """
    for position, name in enumerate(upstreams):
        if isinstance(name, str) and TASK_ID.match(name) and name not in known:
            near = get_close_matches(name, known, n=1) if hints > 0 else []
            hints -= 1
            why = Reason(Code.NO_UPSTREAM, {"name": shorten(name)})
            why = suggesting(why, near[0] if near else None)
            yield Finding((FIELD, position), why, shorten(name), Reason(Code.EXISTING_TASK))


def cycle_finding(path: Sequence[str]) -> Finding:
    """Return the finding for a dependency cycle; `path` begins and ends with the same id."""
    printed = " → ".join(path)
    return Finding((FIELD,), Reason(Code.CYCLE, {"path": printed}), printed, Reason(Code.NO_CYCLE))
