"""What is wrong with a configuration, and where."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from scheduler.exceptions import SchedulerError

SHOWN = 200
LONGEST_COMPARED = 60

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class ConfigProblem:
    """One problem.

    Attributes:
        file: name as given, "" for the API and forms.
        line, column: from 1; None for the API and forms.
        path: such as ``tasks[3].task_timeout``.
        message: a sentence that names the field, the value found and what is allowed.
        found: the value, short, as JSON.
        allowed: what may stand there, in words.
    """

    file: str
    line: int | None
    column: int | None
    path: str
    message: str
    found: str
    allowed: str

    def __str__(self) -> str:
        where = [self.file] if self.file else []
        if self.line is not None:
            where += [str(self.line), str(self.column)]
        return ": ".join(part for part in (":".join(where), self.path, self.message) if part)


class ConfigError(SchedulerError):
    """A configuration was refused; nothing of it was used.

    Attributes:
        problems: all of them.
    """

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        lines = [str(problem) for problem in problems[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"and {len(problems) - SHOWN} more")
        super().__init__("\n".join(lines))
        self.problems = list(problems)


@dataclass(frozen=True)
class Finding:
    """A problem with its path; whoever knows the text adds file, line and column.

    Attributes:
        is_key: the key is wrong, not its value.
        is_absence: a required field is missing.
    """

    path: Keys
    message: str
    found: str
    allowed: str
    is_key: bool = False
    is_absence: bool = False

    def below(self, path: Keys) -> Finding:
        """Return the same finding seen from further out."""
        return Finding(
            (*path, *self.path), self.message, self.found, self.allowed, self.is_key, self.is_absence
        )

    def as_problem(self, file: str, line: int | None = None, column: int | None = None) -> ConfigProblem:
        """Return the problem at a place."""
        return ConfigProblem(file, line, column, path_text(self.path), self.message, self.found, self.allowed)


def refused(path: Keys, found: object, allowed: str, *, shown: str = "") -> Finding:
    """Return the finding that a value is not what is allowed; `shown` describes it when it is too long to show."""
    text = shown or shorten(found)
    return Finding(path, f"{field_name(path)} must be {allowed}, but {text} was found", text, allowed)


def path_text(path: Keys) -> str:
    """Return a path such as ``task_notify[0].threshold``."""
    text = ""
    for part in path:
        name = f"[{part}]" if isinstance(part, int) else printable(part)
        text += name if isinstance(part, int) or not text else f".{name}"
    return text


def field_name(path: Keys) -> str:
    """Return the last name of a path, with the indexes that follow it."""
    names = [index for index, part in enumerate(path) if isinstance(part, str)]
    return path_text(path[names[-1] :]) if names else "the task"


def printable(text: str, length: int = 80) -> str:
    """Return `text` cut to `length`, without quotes and on one line."""
    return shorten(text, length + 2).removeprefix('"').removesuffix('"')


def shorten(value: object, length: int = 80) -> str:
    """Return `value` as JSON on one line, cut to `length`; what no database or terminal takes is escaped."""
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
def hint(name: str, known: tuple[str, ...]) -> str:
    """Return ``; did you mean "…"?`` for the nearest of the `known` names, or nothing."""
    near = get_close_matches(name, known, n=1, cutoff=0.6) if len(name) <= LONGEST_COMPARED else []
    return f'; did you mean "{near[0]}"?' if near else ""
