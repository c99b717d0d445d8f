"""Reading a configuration: limits first, then JSON with positions, then each task."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, NoReturn

from scheduler.config_file.older import upgrade_task
from scheduler.config_file.problems import ConfigError, ConfigProblem
from scheduler.config_file.specs import TaskSpec, normal_task
from scheduler.config_file.validation import Finding, find_bad_text, find_in_task, path_text

MAX_BYTES = 5 * 1024 * 1024
MAX_DEPTH = 32
MAX_TASKS = 20_000
VERSION = 1
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
SPACE = re.compile(r"[ \t\r\n]*")
SCALAR = re.compile(r"[^\s,\]}]+")

Keys = tuple[str | int, ...]
DUPLICATE: Keys = ("\0duplicate",)


@dataclass
class _Source:
    """The text of one file, and where its tasks stand in it."""

    file: str
    text: str
    _positions: dict[Keys, tuple[int, int]] | None = None

    def position(self, keys: Keys, *, is_key: bool = False) -> tuple[int, int]:
        """Return line and column of the value (or key) at `keys`, or of the nearest thing around it."""
        if self._positions is None:
            self._positions = {}
            _scan(self.text, _skip(self.text, 0), (), self._positions)
        while keys not in self._positions and keys:
            keys = keys[:-1]
        key_at, value_at = self._positions.get(keys, (0, 0))
        return self.line_and_column(key_at if is_key else value_at)

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """Return line and column, from 1, of a character."""
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)

    def refuse(self, offset: int, message: str, found: str, allowed: str, path: str = "") -> NoReturn:
        """Raise for one place of the text."""
        line, column = self.line_and_column(offset)
        raise ConfigError([ConfigProblem(self.file, line, column, path, message, found, allowed)])


@dataclass
class ConfigDocument:
    """A configuration that is sound in itself; whether it fits the stored tasks is for the import to say.

    Attributes:
        specs: tasks in the order of the text.
        notes: older forms that were understood, in sentences.
    """

    specs: list[TaskSpec] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _places: list[tuple[_Source, Keys]] = field(default_factory=list)

    def problem(
        self, task_index: int, field_path: str, message: str, found: str, allowed: str
    ) -> ConfigProblem:
        """Return a problem of one task with its place in the text; `field_path` is such as ``task_dependencies[0]``."""
        source, keys = self._places[task_index]
        inner: Keys = tuple(
            int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", field_path)
        )
        line, column = source.position((*keys, *inner))
        return ConfigProblem(source.file, line, column, path_text((*keys, *inner)), message, found, allowed)


def read_config(path: Path) -> ConfigDocument:
    """Return the configuration in a file, or in all ``*/config.json`` of a folder.

    Raises:
        ConfigError: it cannot be read, or is wrong; with all problems.
    """
    files = sorted(path.glob("*/config.json")) if path.is_dir() else [path]
    if not files:
        raise ConfigError(
            [_file_problem(path, "the folder holds no */config.json", "a folder with */config.json")]
        )
    sources = []
    for file in files:
        try:
            if file.stat().st_size > MAX_BYTES:
                raise ConfigError([_too_large(str(file), file.stat().st_size)])
            sources.append((str(file), file.read_bytes()))
        except OSError as error:
            raise ConfigError(
                [_file_problem(file, f"it cannot be read: {error.strerror}", "a readable file")]
            ) from error
    return _read(sources)


def parse_config(raw: bytes | str, *, file: str) -> ConfigDocument:
    """Return the configuration in a text; `file` is what messages call it.

    Raises:
        ConfigError: it is wrong; with all problems.
    """
    return _read([(file, raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw)])


def parse_json(raw: bytes, *, file: str) -> object:
    """Return JSON read as strictly as a configuration: limits, no duplicate keys, finite numbers, clean text.

    Raises:
        ConfigError: with line and column.
    """
    source, data = _parse(file, raw)
    problems = [_place(source, (), finding) for finding in find_bad_text(data, ())]
    if problems:
        raise ConfigError(problems)
    return data


def _file_problem(path: Path, message: str, allowed: str) -> ConfigProblem:
    return ConfigProblem(str(path), None, None, "", message, str(path), allowed)


def _too_large(file: str, size: int) -> ConfigProblem:
    message = f"the file has {size:,} bytes; at most {MAX_BYTES:,} are allowed"
    return ConfigProblem(file, None, None, "", message, str(size), f"{MAX_BYTES} bytes")


def _read(sources: list[tuple[str, bytes]]) -> ConfigDocument:
    document = ConfigDocument()
    problems: list[ConfigProblem] = []
    seen: dict[str, str] = {}
    for file, raw in sources:
        source, data = _parse(file, raw)
        for keys, task in _tasks(source, data):
            problems += _read_task(document, source, keys, task, seen)
    if len(document._places) > MAX_TASKS:
        message = f"{len(document._places):,} tasks were found; at most {MAX_TASKS:,} are allowed"
        problems.append(ConfigProblem(sources[0][0], None, None, "tasks", message, "", str(MAX_TASKS)))
    if problems:
        raise ConfigError(problems)
    return document


def _read_task(
    document: ConfigDocument, source: _Source, keys: Keys, task: object, seen: dict[str, str]
) -> list[ConfigProblem]:
    task, notes = upgrade_task(task)
    findings = list(find_in_task(task))
    task_id = task.get("task_id") if isinstance(task, dict) else None
    if isinstance(task_id, str):
        if task_id in seen:
            findings.append(
                Finding(
                    ("task_id",),
                    f'the task id "{task_id}" stands at {seen[task_id]} already',
                    task_id,
                    "each id once",
                )
            )
        seen.setdefault(task_id, path_text(keys) or source.file)
    document._places.append((source, keys))
    if findings:
        return [_place(source, keys, finding) for finding in findings]
    assert isinstance(task, dict)  # noqa: S101 - the schema said so
    document.specs.append(normal_task(task))
    document.notes += notes
    return []


def _place(source: _Source, keys: Keys, finding: Finding) -> ConfigProblem:
    path = (*keys, *finding.path)
    line, column = source.position(path, is_key=finding.is_key)
    return ConfigProblem(
        source.file, line, column, path_text(path), finding.message, finding.found, finding.allowed
    )


def _tasks(source: _Source, data: object) -> list[tuple[Keys, object]]:
    """Return the tasks with their paths, whatever the layout."""
    if isinstance(data, list):
        return [((index,), task) for index, task in enumerate(data)]
    if isinstance(data, dict) and "tasks" in data:
        return _tasks_of_file(source, data)
    if isinstance(data, dict) and ("task_id" in data or "task_exec" in data):
        return [((), data)]
    return source.refuse(
        0, "no tasks were found", type(data).__name__, '{"tasks": [...]}, a list of tasks, or one task'
    )


def _tasks_of_file(source: _Source, data: dict[str, Any]) -> list[tuple[Keys, object]]:
    problems = []
    for name in data:
        if name not in ("$schema", "version", "tasks"):
            line, column = source.position((name,), is_key=True)
            message = f'"{name[:80]}" is no known field'
            problems.append(
                ConfigProblem(source.file, line, column, name, message, name, "$schema, version, tasks")
            )
    if data.get("version", VERSION) is not VERSION and data.get("version") != VERSION:
        line, column = source.position(("version",))
        message = f"version {data['version']!r} was found; {VERSION} is allowed"
        problems.append(
            ConfigProblem(source.file, line, column, "version", message, str(data["version"]), "1")
        )
    if not isinstance(data["tasks"], list):
        line, column = source.position(("tasks",))
        problems.append(
            ConfigProblem(
                source.file,
                line,
                column,
                "tasks",
                "a list of tasks is needed",
                str(data["tasks"])[:80],
                "a list",
            )
        )
    if problems:
        raise ConfigError(problems)
    return [(("tasks", index), task) for index, task in enumerate(data["tasks"])]


def _parse(file: str, raw: bytes) -> tuple[_Source, object]:
    if len(raw) > MAX_BYTES:
        raise ConfigError([_too_large(file, len(raw))])
    source = _Source(file, _decode(file, raw))
    _check_depth(source)
    try:
        data = json.loads(
            source.text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_int,
            parse_float=_float,
        )
    except json.JSONDecodeError as error:
        source.refuse(
            error.pos, _syntax_hint(source.text, error), source.text[error.pos : error.pos + 20], "JSON"
        )
    except _DuplicateError as error:
        positions: dict[Keys, tuple[int, int]] = {}
        _scan(source.text, _skip(source.text, 0), (), positions)
        source.refuse(
            positions[DUPLICATE][0],
            f'the key "{error}" stands twice in one object',
            str(error),
            "each key once",
        )
    except _BadNumberError as error:
        at = max(source.text.find(str(error)), 0)
        shown = str(error)[:40]
        source.refuse(at, f"the number {shown} is not allowed", shown, "a finite number of at most 15 digits")
    return source, data


def _decode(file: str, raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw[:4]:
        raise ConfigError(
            [ConfigProblem(file, 1, 1, "", "the file is UTF-16 or UTF-32; save it as UTF-8", "", "UTF-8")]
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = f"the byte 0x{raw[error.start]:02x} at offset {error.start} is no UTF-8"
        raise ConfigError([ConfigProblem(file, line, column, "", message, "", "UTF-8")]) from error


def _check_depth(source: _Source) -> None:
    depth = 0
    for match in TOKEN.finditer(source.text):
        if match[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                source.refuse(
                    match.start(), f"it is nested deeper than {MAX_DEPTH} levels", "", f"{MAX_DEPTH} levels"
                )
        elif match[0] in "]}":
            depth -= 1


class _DuplicateError(ValueError):
    """A key that stands twice."""


class _BadNumberError(ValueError):
    """A number that is not finite or too long."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _value in pairs:
            if key in seen:
                raise _DuplicateError(key)
            seen.add(key)
    return result


def _constant(text: str) -> NoReturn:
    raise _BadNumberError(text)


def _int(text: str) -> int:
    if len(text) > 16:
        raise _BadNumberError(text)
    return int(text)


def _float(text: str) -> float:
    value = float(text) if len(text) <= 40 else float("inf")
    if value in (float("inf"), float("-inf")):
        raise _BadNumberError(text)
    return value


def _syntax_hint(text: str, error: json.JSONDecodeError) -> str:
    """Return a sentence on the usual mistakes, or what the parser says."""
    before, at = text[: error.pos].rstrip(), text[error.pos : error.pos + 2].strip()
    if not text.strip():
        return "the file is empty"
    if at[:1] == "'":
        return "text stands in double quotes in JSON, not in single ones"
    if at in ("//", "/*") or at[:1] == "#":
        return "JSON has no comments"
    if before.endswith(",") and at[:1] in ("]", "}"):
        return "there is a comma before the closing bracket"
    return f"this is no JSON: {error.msg}"


def _scan(text: str, at: int, keys: Keys, positions: dict[Keys, tuple[int, int]]) -> int:
    """Note where keys and values of sound JSON begin, and the first key that stands twice.

    Returns where the value at `at` ends.
    """
    positions.setdefault(keys, (at, at))
    if text[at] == '"':
        return int(scanstring(text, at + 1)[1])
    if text[at] not in "[{":
        return _end(SCALAR, text, at)
    is_object = text[at] == "{"
    at = _skip(text, at + 1)
    index, seen = 0, set()
    while text[at] not in "]}":
        key: str | int = index
        key_at = at
        if is_object:
            key, at = scanstring(text, at + 1)
            if key in seen:
                positions.setdefault(DUPLICATE, (key_at, key_at))
            seen.add(key)
            at = _skip(text, _skip(text, at) + 1)
        positions.setdefault((*keys, key), (key_at, at))
        at = _skip(text, _scan(text, at, (*keys, key), positions))
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1
    return at + 1


def _skip(text: str, at: int) -> int:
    return _end(SPACE, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()
