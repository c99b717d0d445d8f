"""Problems of a configuration, with their positions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from scheduler.config_file.reasons import Code
from scheduler.engine.reasons import Reason, as_reason
from scheduler.exceptions import SchedulerError

SHOWN = 200
LONGEST_COMPARED = 60

Keys = tuple[str | int, ...]
Words = Reason | str  # plain text is a value of the configuration, or an external message


@dataclass(frozen=True)
class ConfigProblem:
    """One problem.

    Attributes:
        file: name as given, "" for the API and forms.
        line, column: from 1; None for the API and forms.
        path: such as ``tasks[3].task_timeout``.
        why: names the field, the value found and the allowed values.
        what: the value as shortened JSON, or a description of it.
        wanted: the allowed values.
    """

    file: str
    line: int | None
    column: int | None
    path: str
    why: Words
    what: Words
    wanted: Words

    @property
    def message(self) -> str:
        """The reason as an English sentence."""
        return str(self.why)

    @property
    def found(self) -> str:
        """The value found, in English."""
        return str(self.what)

    @property
    def allowed(self) -> str:
        """The allowed values, in English."""
        return str(self.wanted)

    def as_json(self) -> dict[str, Any]:
        """Return the problem as JSON: position, texts, and the reason as code and parameters."""
        reason = as_reason(self.why)
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
            "found": self.found,
            "allowed": self.allowed,
            "code": reason.code,
            "params": reason.params_json(),
        }

    def __str__(self) -> str:
        where = [self.file] if self.file else []
        if self.line is not None:
            where += [str(self.line), str(self.column)]
        return ": ".join(part for part in (":".join(where), self.path, self.message) if part)


class ConfigError(SchedulerError):
    """A configuration was rejected as a whole.

    Attributes:
        problems: all problems found.
    """

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        lines = [str(problem) for problem in problems[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"and {len(problems) - SHOWN} more")
        super().__init__("\n".join(lines))
        self.problems = list(problems)


@dataclass(frozen=True)
class Finding:
    """A problem with its path, without file, line and column.

    Attributes:
        is_key: the key is wrong, not its value.
        is_absence: a required field is missing.
    """

    path: Keys
    why: Words
    what: Words
    wanted: Words
    is_key: bool = False
    is_absence: bool = False

    def below(self, path: Keys) -> Finding:
        """Return the finding with its path prefixed by `path`."""
        return Finding((*path, *self.path), self.why, self.what, self.wanted, self.is_key, self.is_absence)

    def as_problem(self, file: str, line: int | None = None, column: int | None = None) -> ConfigProblem:
        """Return the problem at a position."""
        return ConfigProblem(file, line, column, path_text(self.path), self.why, self.what, self.wanted)


def refused(path: Keys, found: object, allowed: Words, *, shown: Words = "") -> Finding:
    """Return the finding for a value that is not allowed; `shown` describes a value too long to show."""
    return not_allowed(path, shown or shorten(found), allowed)


def not_allowed(path: Keys, found: Words, allowed: Words, *, field: str = "") -> Finding:
    """Return the finding for a displayed value that is not allowed."""
    values = {"field": field or field_name(path), "what": allowed, "found": found}
    return Finding(path, Reason(Code.NOT_ALLOWED, values), found, allowed)


def suggesting(why: Reason, near: str | None) -> Reason:
    """Return a reason with a suggestion, if there is a similar name."""
    return why if near is None else Reason(Code.SUGGESTION, {"what": why, "name": near})


def path_text(path: Keys) -> str:
    """Return a path such as ``task_notify[0].threshold``."""
    text = ""
    for part in path:
        name = f"[{part}]" if isinstance(part, int) else printable(part)
        text += name if isinstance(part, int) or not text else f".{name}"
    return text


def field_name(path: Keys) -> str:
    """Return the last name of a path with the indexes after it."""
    names = [index for index, part in enumerate(path) if isinstance(part, str)]
    return path_text(path[names[-1] :]) if names else "the task"


def printable(text: str, length: int = 80) -> str:
    """Return `text` cut to `length`, without quotes and on one line."""
    return shorten(text, length + 2).removeprefix('"').removesuffix('"')


def shorten(value: object, length: int = 80) -> str:
    """Return `value` as JSON on one line, cut to `length`; characters unfit for databases or terminals are escaped."""
    if isinstance(value, str):
        value = value[: length + 1]
    elif isinstance(value, list | dict) and len(value) > length:
        value = value[:length] if isinstance(value, list) else dict(list(value.items())[:length])
    try:
        text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    except (ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    if len(text) > length:
        text = text[: length - 1] + "…"
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


@lru_cache(maxsize=2000)
def nearest(name: str, known: tuple[str, ...]) -> str | None:
    """Return the most similar of the `known` names, or None."""
    near = get_close_matches(name, known, n=1, cutoff=0.6) if len(name) <= LONGEST_COMPARED else []
    return near[0] if near else None
