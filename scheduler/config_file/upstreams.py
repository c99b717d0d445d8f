"""What is wrong with dependencies, as far as the ids that are known say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches

from scheduler.config_file.problems import Finding, shorten

FIELD = "task_dependencies"
MOST_HINTS = 10
TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def find_unknown(
    upstreams: Iterable[object], known: Collection[str], *, hints: int = MOST_HINTS
) -> Iterator[Finding]:
    """Yield the upstreams that are no id of `known`; what is no id at all is left to the schema.

    Args:
        hints: how many of them are told with the nearest known id; among 20,000 ids that takes a tenth of a second.
    """
    for position, name in enumerate(upstreams):
        if isinstance(name, str) and TASK_ID.match(name) and name not in known:
            near = get_close_matches(name, known, n=1) if hints > 0 else []
            hints -= 1
            hint = f'; did you mean "{near[0]}"?' if near else ""
            message = f"there is no task {shorten(name)} to depend on{hint}"
            yield Finding((FIELD, position), message, shorten(name), "the id of an existing task")


def cycle_finding(path: Sequence[str]) -> Finding:
    """Return the finding that dependencies close a cycle; `path` begins and ends with the same id."""
    printed = " → ".join(path)
    return Finding((FIELD,), f"the dependencies would form a cycle: {printed}", printed, "no cycle")
