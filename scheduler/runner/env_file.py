"""Parser of environment files with the rules of docker compose.

python-dotenv parses lines and quotes. Three things are implemented here: it supports only ``${NAME}`` and
``${NAME:-default}``, it also expands single-quoted values, and it silently ignores lines that it cannot parse.

Source: https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv.parser import Binding, parse_stream

from scheduler.engine.reasons import Code
from scheduler.runner.starting import StartError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LIKE_YAML = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*:(?:\s+|$)(.*)", re.DOTALL)
_SINGLE_QUOTED = re.compile(r"[^=]*=\s*'")
_BEGIN = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*))")
_OPERATOR = re.compile(r":?[-?+]")


class RequiredValueError(Exception):
    """A required variable (``${NAME:?why}``) has no value.

    Attributes:
        line, name: of the variable.
        why: the message in the file, "" without one.
    """

    def __init__(self, line: int, name: str, why: str) -> None:
        super().__init__(f"line {line}: {name} has no value: {why or 'a value is required'}")
        self.line, self.name, self.why = line, name, why


@dataclass
class EnvFile:
    """The content of an environment file.

    Attributes:
        notes: ignored lines and empty variables, each with its line number, never with a value.
    """

    values: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_env_file(path: Path, known: Mapping[str, str]) -> EnvFile:
    """Return the variables of a file.

    Args:
        known: variables available for interpolation; they take precedence over those of the file.

    Raises:
        StartError: the file cannot be read, or a required variable has no value.
    """
    try:
        if not path.is_file():
            raise StartError(Code.ENV_FILE_MISSING, path=str(path))
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StartError(Code.ENV_FILE_UNREADABLE, path=str(path), error=error.strerror) from error
    except UnicodeDecodeError as error:
        raise StartError(Code.ENV_FILE_NOT_UTF8, path=str(path)) from error
    try:
        return parse_env_file(text, known)
    except RequiredValueError as error:
        values: dict[str, Any] = {"path": str(path), "line": error.line, "name": error.name}
        if error.why:
            raise StartError(Code.ENV_VALUE_REQUIRED_BECAUSE, why=error.why, **values) from error
        raise StartError(Code.ENV_VALUE_REQUIRED, **values) from error


def parse_env_file(text: str, known: Mapping[str, str]) -> EnvFile:
    """Parse the text of an environment file; lines that cannot be parsed become notes.

    Raises:
        RequiredValueError: a required variable has no value.
    """
    found = EnvFile()
    for binding in _bindings(text):
        line = binding.original.line + _blank_lines(binding.original.string)
        if binding.error:
            found.notes.append(f"line {line} is not NAME=value and is ignored")
        elif binding.key is None or binding.value is None:
            continue  # a comment, or a name without a value, which keeps an inherited value
        elif NAME.fullmatch(binding.key) is None:
            found.notes.append(f"line {line} has no valid name and is left out")
        elif _SINGLE_QUOTED.match(binding.original.string):
            found.values[binding.key] = binding.value
        else:
            found.values[binding.key] = _Expansion(found, known, line).expand(binding.value)
    return found


def _bindings(text: str) -> Iterator[Binding]:
    """Yield the bindings in a text; ``NAME: value`` is read as ``NAME=value``."""
    for binding in parse_stream(io.StringIO(text)):
        like_yaml = _LIKE_YAML.fullmatch(binding.original.string) if binding.error else None
        if like_yaml is None:
            yield binding
            continue
        for other in parse_stream(io.StringIO(f"{like_yaml[1]}={like_yaml[2]}")):
            yield other._replace(original=other.original._replace(line=binding.original.line))


def _blank_lines(text: str) -> int:
    return text[: len(text) - len(text.lstrip())].count("\n")


class _Expansion:
    """Interpolates variables in one value.

    ``$NAME``, ``${NAME}``, ``${NAME:-default}``, ``${NAME-default}``, ``${NAME:?why}``, ``${NAME?why}``,
    ``${NAME:+other}``, ``${NAME+other}``, and ``$$`` for a dollar sign. With a colon, empty counts as unset. Default,
    message and alternative are interpolated too.
    """

    def __init__(self, file: EnvFile, known: Mapping[str, str], line: int) -> None:
        self._file, self._known, self._line = file, known, line

    def expand(self, text: str) -> str:
        """Return `text` with variables replaced by their values.

        Raises:
            RequiredValueError: a required variable has no value.
        """
        parts, position = [], 0
        while found := _BEGIN.search(text, position):
            parts.append(text[position : found.start()])
            position = found.end()
            if found[1]:
                parts.append("$")
            elif found[2]:
                parts.append(self._value(found[2]))
            elif (end := _closing_brace(text, position)) < 0:
                self._note(f"has a ${{{found[3]} that is not closed, which stays as it is")
                parts.append(found[0])
            else:
                parts.append(self._braced(found[3], text[position:end]))
                position = end + 1
        return "".join([*parts, text[position:]])

    def _braced(self, name: str, rest: str) -> str:
        if not rest:
            return self._value(name)
        operator = _OPERATOR.match(rest)
        if operator is None:
            self._note(f"has a ${{{name}…}} that cannot be read, which stays as it is")
            return f"${{{name}{rest}}}"
        word, value = rest[operator.end() :], self._look_up(name)
        has_value = bool(value) if operator[0][0] == ":" else value is not None
        if operator[0][-1] == "+":
            return self.expand(word) if has_value else ""
        if has_value:
            return value or ""
        if operator[0][-1] == "?":
            raise RequiredValueError(self._line, name, self.expand(word))
        return self.expand(word)

    def _value(self, name: str) -> str:
        value = self._look_up(name)
        if value is None:
            self._note(f"names {name}, which is not set, so it is empty there")
        return value or ""

    def _look_up(self, name: str) -> str | None:
        return self._known.get(name, self._file.values.get(name))

    def _note(self, text: str) -> None:
        self._file.notes.append(f"line {self._line} {text}")


def _closing_brace(text: str, position: int) -> int:
    """Return the index of the brace that closes the one opened before `position`, or -1."""
    depth = 1
    for index in range(position, len(text)):
        if text.startswith("${", index):
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return -1
