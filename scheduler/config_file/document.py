"""Parsing of configurations in all supported layouts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from scheduler.config_file.kept_secrets import kept_task
from scheduler.config_file.legacy import upgrade_task
from scheduler.config_file.problems import (
    ConfigError,
    ConfigProblem,
    Finding,
    Keys,
    Words,
    nearest,
    not_allowed,
    path_text,
    printable,
    refused,
    shorten,
    suggesting,
)
from scheduler.config_file.reasons import Code
from scheduler.config_file.schema import fields_of
from scheduler.config_file.schema_errors import unknown_field
from scheduler.config_file.source import MAX_BYTES, MAX_PROBLEMS, Source, parse_source, read_source
from scheduler.config_file.specs import TaskSpec, normal_task
from scheduler.config_file.upstreams import MOST_HINTS, cycle_finding, find_unknown
from scheduler.config_file.url_masking import MASK
from scheduler.config_file.validation import bounded_task, find_in_task, task_id_of, upstreams_of
from scheduler.engine.graphs import find_cycle
from scheduler.engine.reasons import Reason

MAX_TASKS = 20_000
MOST_CYCLES = 20  # reported at once
LAYOUTS = Reason(Code.LAYOUTS)
#: Returns the stored tasks by id; called if a text contains masks.
StoredTasks = Callable[[], Mapping[str, TaskSpec]]
UPSTREAM = re.compile(r"task_dependencies\[([0-9]+)\]\Z")


@dataclass
class _Origin:
    """The location of a task in the text, and its dependencies in source order."""

    source: Source
    keys: Keys
    upstreams: list[object]


@dataclass
class ConfigDocument:
    """A valid configuration; the import checks whether it is consistent with the stored tasks.

    Attributes:
        specs: tasks in source order.
        notes: converted legacy forms.
    """

    specs: list[TaskSpec] = field(default_factory=list)
    notes: list[Reason] = field(default_factory=list)
    _origins: list[_Origin] = field(default_factory=list, repr=False, compare=False)
    _starts: dict[str, dict[Keys, int]] = field(default_factory=dict, repr=False, compare=False)

    def problem(
        self, task_index: int, field_path: str, why: Words, found: Words, allowed: Words
    ) -> ConfigProblem:
        """Return a problem of one task with its position in the text.

        Args:
            task_index: index in `specs`.
            field_path: such as ``task_dependencies[0]``, with the index in the spec, which may differ from the text.
        """
        origin = self._origins[task_index]
        inner = self._path_in_text(task_index, field_path)
        places = origin.source.below(self._start(origin))
        problem = origin.source.problem(Finding(inner, why, found, allowed), places)
        path = path_text((*origin.keys, *inner))
        return ConfigProblem(problem.file, problem.line, problem.column, path, why, found, allowed)

    def _path_in_text(self, task_index: int, field_path: str) -> Keys:
        match = UPSTREAM.match(field_path)
        if match:
            upstream = self.specs[task_index]["task_dependencies"][int(match[1])]
            return ("task_dependencies", self._origins[task_index].upstreams.index(upstream))
        parts = re.findall(r"\[([0-9]+)\]|([^.\[\]]+)", field_path)
        return tuple(int(number) if number else name for number, name in parts)

    def _start(self, origin: _Origin) -> int:
        """Return the offset of a task; the first call for a file locates all its tasks."""
        source = origin.source
        if source.file not in self._starts:
            paths = [other.keys for other in self._origins if other.source is source]
            places = source.locate(paths)
            self._starts[source.file] = {path: places[path].at for path in paths}
        return self._starts[source.file][origin.keys]


def read_config(
    path: Path, *, known: Collection[str] | None = None, stored: StoredTasks = dict
) -> ConfigDocument:
    """Return the configuration in a file, or in all ``*/config.json`` of a folder.

    Args:
        known, stored: as for `parse_config`.

    Raises:
        ConfigError: it cannot be read or is invalid; contains all problems.
    """
    try:
        if not path.is_dir():
            return _read([path], known, stored)
        files = sorted(_files_below(path))
        near = None if files else _nearest(path)
    except OSError as error:  # a name too long, a folder without access
        raise ConfigError([_unreadable(path, error)]) from error
    if not files:
        raise ConfigError([_file_problem(path, suggesting(Reason(Code.FOLDER_WITHOUT_FILES), near))])
    return _read(files, known, stored)


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the config files of a folder of tasks, including unreadable ones, which the reader reports."""
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        file = folder / entry.name / "config.json"
        try:
            file.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            pass
        yield file


def _nearest(folder: Path) -> str | None:
    file = folder / "config.json"
    return str(file) if file.is_file() else None


def parse_config(
    raw: bytes | str, *, file: str, known: Collection[str] | None = None, stored: StoredTasks = dict
) -> ConfigDocument:
    """Parse the text of a configuration; `file` is its name in messages.

    Args:
        known: ids of stored tasks on which those of the text may depend, so that unknown upstreams are reported with
            all other problems; None: not checked here.
        stored: returns the stored tasks, to resolve masks of secrets in the text.

    Raises:
        ConfigError: it is invalid; contains all problems.
    """
    reader = _Reader(known, stored)
    reader.read(file, raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw)
    return reader.finish()


def parse_json(raw: bytes, *, file: str) -> object:
    """Parse JSON as strictly as a configuration: size limits, no duplicate keys, finite numbers, storable text.

    Raises:
        ConfigError: contains line and column.
    """
    return parse_source(file, raw)[1]


def _file_problem(path: Path, why: Reason) -> ConfigProblem:
    return ConfigProblem(str(path), None, None, "", why, printable(str(path)), "a config.json")


def _unreadable(path: Path, error: OSError | ValueError) -> ConfigProblem:
    said = getattr(error, "strerror", None) or str(error)
    return _file_problem(path, Reason(Code.FILE_UNREADABLE, {"error": said}))


def _read(files: list[Path], known: Collection[str] | None, stored: StoredTasks) -> ConfigDocument:
    reader = _Reader(known, stored)
    for file in files:
        try:
            with file.open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            reader.add(_unreadable(file, error))
            continue
        reader.read(str(file), raw)
    return reader.finish()


class _Reader:
    """Collects the tasks and problems of one or more files."""

    def __init__(self, known: Collection[str] | None, stored: StoredTasks) -> None:
        self._known = known
        self._stored = cache(stored)
        self._problems: dict[str, list[ConfigProblem]] = {}  # by file, in reading order
        self._document = ConfigDocument()
        self._seen: dict[str, str] = {}
        self._given: list[tuple[str, _Origin]] = []  # each task with its id, valid or not

    def add(self, problem: ConfigProblem) -> None:
        """Add a problem."""
        self._problems.setdefault(problem.file, []).append(problem)

    def read(self, file: str, raw: bytes) -> None:
        """Read the tasks of one file; its problems do not hide those of the next file."""
        try:
            source, data, unsound = read_source(file, raw)
        except ConfigError as error:
            self._problems.setdefault(file, []).extend(error.problems)
            return
        tasks, findings = _tasks(data)
        length = len(tasks[0][0]) if tasks else 0
        within = self._read_tasks(source, tasks, unsound={finding.path[:length] for finding in unsound})
        self._locate(source, chain(unsound, findings, within))

    def finish(self) -> ConfigDocument:
        """Return the document, or raise with all problems."""
        for source, findings in self._find_in_graph():
            self._locate(source, findings)
        if len(self._document._origins) > MAX_TASKS:
            found = f"{len(self._document._origins):,}"
            why = Reason(Code.TOO_MANY_TASKS, {"count": MAX_TASKS, "found": found})
            allowed = Reason(Code.TASKS_AT_MOST, {"count": MAX_TASKS})
            self.add(ConfigProblem("", None, None, "", why, found, allowed))
        if self._problems:
            raise ConfigError([p for group in self._problems.values() for p in sorted(group, key=_place)])
        return self._document

    def _locate(self, source: Source, found: Iterable[Finding]) -> None:
        """Add the findings of a file with their positions."""
        findings = list(islice(found, MAX_PROBLEMS))
        places = source.locate(finding.path for finding in findings) if findings else {}
        for finding in findings:
            self.add(source.problem(finding, places))
        if len(findings) == MAX_PROBLEMS:
            why = Reason(Code.TOO_MANY_PROBLEMS, {"count": MAX_PROBLEMS})
            self.add(ConfigProblem(source.file, None, None, "", why, "", ""))

    def _find_in_graph(self) -> Iterator[tuple[Source, list[Finding]]]:
        """Yield the problems that need all tasks: unknown upstreams and cycles."""
        upstreams: dict[str, set[str]] = {}
        for name, origin in self._given:  # self-dependencies have been reported already
            upstreams.setdefault(name, set()).update(_names(origin.upstreams) - {name})
        hints = MOST_HINTS
        known = {*(self._known or ()), *upstreams}
        by_source: dict[int, tuple[Source, list[Finding]]] = {}
        for _name, origin in self._given if self._known is not None else ():
            _source, found = by_source.setdefault(id(origin.source), (origin.source, []))
            wanted = MAX_PROBLEMS - len(found)
            unknown = list(islice(find_unknown(origin.upstreams, known, hints=hints), wanted))
            hints -= len(unknown)
            found += [finding.below(origin.keys) for finding in unknown]
        yield from (pair for pair in by_source.values() if pair[1])
        for _number in range(MOST_CYCLES):
            cycle = find_cycle(upstreams)
            if not cycle:
                break
            first = next(origin for name, origin in self._given if name in cycle)
            yield first.source, [cycle_finding(cycle).below(first.keys)]
            for name in cycle:
                upstreams.pop(name, None)

    def _read_tasks(
        self, source: Source, tasks: list[tuple[Keys, object]], *, unsound: Collection[Keys]
    ) -> Iterator[Finding]:
        """Yield the problems of tasks; unsound JSON in them has been reported already."""
        may_have_masks = MASK[0] in source.text or "\\u2022" in source.text
        for keys, given in tasks:
            upgraded, notes = upgrade_task(given)
            task, too_large, is_valid = bounded_task(upgraded)
            is_sound = True
            origin = _Origin(source, keys, upstreams_of(task))
            self._given.append((task_id_of(task), origin))
            if keys in unsound:
                continue
            masks: list[Finding] = []
            if may_have_masks and isinstance(task, dict) and MASK in repr(task):
                is_valid = False
                task, masks = kept_task(task, self._stored().get(task_id_of(task)))
            own = islice(find_in_task(task, is_valid=is_valid), MAX_PROBLEMS)
            for finding in (*self._check_id(source, keys, task), *too_large, *masks, *own):
                is_sound = False
                yield finding.below(keys)
            if is_sound and isinstance(task, dict):
                self._document._origins.append(origin)
                self._document.specs.append(normal_task(task))
                self._document.notes += notes

    def _check_id(self, source: Source, keys: Keys, task: object) -> list[Finding]:
        task_id = task_id_of(task)
        if not task_id:
            return []
        first = self._seen.setdefault(task_id, f"{source.file}: {path_text(keys)}".removesuffix(": "))
        here = f"{source.file}: {path_text(keys)}".removesuffix(": ")
        if first == here:
            return []
        values = {"field": "task_id", "found": shorten(task_id), "place": first}
        why = Reason(Code.NOT_UNIQUE, values)
        return [Finding(("task_id",), why, shorten(task_id), Reason(Code.EACH_ID_ONCE))]


def _names(upstreams: Iterable[object]) -> set[str]:
    return {name for name in upstreams if isinstance(name, str)}


def _place(problem: ConfigProblem) -> tuple[float, int]:
    """Sort key: position in the file; problems of the whole file come last."""
    return (float("inf") if problem.line is None else problem.line, problem.column or 0)


def _tasks(data: object) -> tuple[list[tuple[Keys, object]], list[Finding]]:
    """Return the tasks of any layout with their paths, and the problems of the file around them."""
    if isinstance(data, list):
        return _numbered((), data)
    if isinstance(data, dict) and "tasks" in data:
        around = list(_find_in_file(data))
        if not isinstance(data["tasks"], list):
            return [], around
        tasks, too_many = _numbered(("tasks",), data["tasks"])
        return tasks, around + too_many
    if isinstance(data, dict) and any(name.startswith("task_") for name in data):
        return [((), data)], []
    return [], [_no_layout(data)]


def _no_layout(data: object) -> Finding:
    names = list(islice(data, 20)) if isinstance(data, dict) else []
    near = next(filter(None, (nearest(name, ("tasks",)) for name in names)), None)
    why = Reason(Code.FILE_LAYOUT, {"what": LAYOUTS, "found": shorten(data)})
    return Finding((), suggesting(why, near), shorten(data), LAYOUTS)


def _numbered(path: Keys, tasks: list[Any]) -> tuple[list[tuple[Keys, object]], list[Finding]]:
    if len(tasks) > MAX_TASKS:
        allowed = Reason(Code.LIST_OF_TASKS_AT_MOST, {"count": MAX_TASKS})
        shown = Reason(Code.ITEMS_FOUND, {"count": len(tasks)})
        return [], [not_allowed(path, shown, allowed, field=path_text(path) or "the file")]
    return [((*path, index), task) for index, task in enumerate(tasks)], []


def _find_in_file(data: dict[str, Any]) -> Iterator[Finding]:
    known = tuple(fields_of("file"))
    for name in data:
        if name not in known:
            yield unknown_field((name,), known)
    if "version" in data and (type(data["version"]) is not int or data["version"] != 1):
        yield refused(("version",), data["version"], "1")
    if not isinstance(data.get("$schema", ""), str):
        yield refused(("$schema",), data["$schema"], Reason(Code.TEXT))
    if not isinstance(data["tasks"], list):
        yield refused(("tasks",), data["tasks"], Reason(Code.LIST_OF_TASKS))
