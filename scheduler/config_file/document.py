"""Reading a configuration in any of its layouts."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from scheduler.config_file.older import upgrade_task
from scheduler.config_file.problems import (
    ConfigError,
    ConfigProblem,
    Finding,
    Keys,
    hint,
    path_text,
    printable,
    refused,
    shorten,
)
from scheduler.config_file.schema import fields_of
from scheduler.config_file.schema_errors import unknown_field
from scheduler.config_file.secrets import MASK, find_masks
from scheduler.config_file.source import MAX_BYTES, MAX_PROBLEMS, Source, parse_source, read_source
from scheduler.config_file.specs import TaskSpec, normal_task
from scheduler.config_file.upstreams import MOST_HINTS, cycle_finding, find_unknown
from scheduler.config_file.validation import find_in_task, task_id_of, upstreams_of
from scheduler.engine.dependencies import find_cycle

MAX_TASKS = 20_000
MOST_CYCLES = 20  # that are told at once
LAYOUTS = '{"tasks": [...]}, a list of tasks, or one task'
UPSTREAM = re.compile(r"task_dependencies\[([0-9]+)\]\Z")


@dataclass
class _Origin:
    """Where a task was read, and its dependencies in the order written there."""

    source: Source
    keys: Keys
    upstreams: list[object]


@dataclass
class ConfigDocument:
    """A configuration that is sound in itself; whether it fits the stored tasks is for the import to say.

    Attributes:
        specs: tasks in the order of the text.
        notes: older forms that were understood, in sentences.
    """

    specs: list[TaskSpec] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _origins: list[_Origin] = field(default_factory=list, repr=False, compare=False)
    _starts: dict[str, dict[Keys, int]] = field(default_factory=dict, repr=False, compare=False)

    def problem(
        self, task_index: int, field_path: str, message: str, found: str, allowed: str
    ) -> ConfigProblem:
        """Return a problem of one task with its place in the text.

        Args:
            task_index: index in `specs`.
            field_path: such as ``task_dependencies[0]``, with the index in the spec, which is not that of the text.
        """
        origin = self._origins[task_index]
        inner = self._path_in_text(task_index, field_path)
        places = origin.source.below(self._start(origin))
        problem = origin.source.problem(Finding(inner, message, found, allowed), places)
        path = path_text((*origin.keys, *inner))
        return ConfigProblem(problem.file, problem.line, problem.column, path, message, found, allowed)

    def _path_in_text(self, task_index: int, field_path: str) -> Keys:
        match = UPSTREAM.match(field_path)
        if match:
            upstream = self.specs[task_index]["task_dependencies"][int(match[1])]
            return ("task_dependencies", self._origins[task_index].upstreams.index(upstream))
        parts = re.findall(r"\[([0-9]+)\]|([^.\[\]]+)", field_path)
        return tuple(int(number) if number else name for number, name in parts)

    def _start(self, origin: _Origin) -> int:
        """Return where a task begins; the first question about a file finds all its tasks."""
        source = origin.source
        if source.file not in self._starts:
            paths = [other.keys for other in self._origins if other.source is source]
            places = source.locate(paths)
            self._starts[source.file] = {path: places[path].at for path in paths}
        return self._starts[source.file][origin.keys]


def read_config(path: Path, *, known: Collection[str] | None = None) -> ConfigDocument:
    """Return the configuration in a file, or in all ``*/config.json`` of a folder.

    Args:
        known: as for `parse_config`.

    Raises:
        ConfigError: it cannot be read, or is wrong; with all problems.
    """
    try:
        if not path.is_dir():
            return _read([path], known)
        files = sorted(_files_below(path))
        near = "" if files else _nearest(path)
    except OSError as error:  # a name too long, a folder closed to us
        reason = f"the file must be readable, but is not: {error.strerror}"
        raise ConfigError([_file_problem(path, reason)]) from error
    if not files:
        raise ConfigError(
            [_file_problem(path, f"the folder must hold */config.json, but none was found{near}")]
        )
    return _read(files, known)


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder of tasks, those as well that exist and cannot be read: whoever reads them says so."""
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


def _nearest(folder: Path) -> str:
    file = folder / "config.json"
    return f'; did you mean "{file}"?' if file.is_file() else ""


def parse_config(raw: bytes | str, *, file: str, known: Collection[str] | None = None) -> ConfigDocument:
    """Return the configuration in a text; `file` is what messages call it.

    Args:
        known: ids of stored tasks that those of the text may depend on as well, so that an unknown one is told with
            all else; None: not asked here.

    Raises:
        ConfigError: it is wrong; with all problems.
    """
    reader = _Reader(known)
    reader.read(file, raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw)
    return reader.finish()


def parse_json(raw: bytes, *, file: str) -> object:
    """Return JSON read as strictly as a configuration: limits, no duplicate keys, finite numbers, clean text.

    Raises:
        ConfigError: with line and column.
    """
    return parse_source(file, raw)[1]


def _file_problem(path: Path, message: str) -> ConfigProblem:
    return ConfigProblem(str(path), None, None, "", message, printable(str(path)), "a config.json")


def _read(files: list[Path], known: Collection[str] | None) -> ConfigDocument:
    reader = _Reader(known)
    for file in files:
        try:
            with file.open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            reader.add(_file_problem(file, f"the file must be readable, but is not: {reason}"))
            continue
        reader.read(str(file), raw)
    return reader.finish()


class _Reader:
    """Gathers the tasks and the problems of one or many files."""

    def __init__(self, known: Collection[str] | None) -> None:
        self._known = known
        self._problems: dict[str, list[ConfigProblem]] = {}  # by file, in the order in which they were read
        self._document = ConfigDocument()
        self._seen: dict[str, str] = {}
        self._given: list[tuple[str, _Origin]] = []  # each task with the id that it names, valid or not

    def add(self, problem: ConfigProblem) -> None:
        """Keep a problem."""
        self._problems.setdefault(problem.file, []).append(problem)

    def read(self, file: str, raw: bytes) -> None:
        """Take the tasks of one file; its problems do not hide those of the next."""
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
        """Return what was read, or raise with all problems."""
        for source, findings in self._find_in_graph():
            self._locate(source, findings)
        if len(self._document._origins) > MAX_TASKS:
            allowed = f"at most {MAX_TASKS:,} tasks"
            found = f"{len(self._document._origins):,}"
            message = f"the files must have {allowed} together, but {found} were found"
            self.add(ConfigProblem("", None, None, "", message, found, allowed))
        if self._problems:
            raise ConfigError([p for group in self._problems.values() for p in sorted(group, key=_place)])
        return self._document

    def _locate(self, source: Source, found: Iterable[Finding]) -> None:
        """Keep what was found in a file, with its places."""
        findings = list(islice(found, MAX_PROBLEMS))
        places = source.locate(finding.path for finding in findings) if findings else {}
        for finding in findings:
            self.add(source.problem(finding, places))
        if len(findings) == MAX_PROBLEMS:
            message = f"reading ended after {MAX_PROBLEMS:,} problems; there may be more"
            self.add(ConfigProblem(source.file, None, None, "", message, "", ""))

    def _find_in_graph(self) -> Iterator[tuple[Source, list[Finding]]]:
        """Yield what only all tasks together tell: unknown upstreams and a cycle among them."""
        upstreams: dict[str, set[str]] = {}
        for name, origin in self._given:  # one that depends on itself was told already
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
        """Yield what is wrong with tasks; of those in which something is no JSON of ours, that was told already."""
        may_have_masks = MASK[0] in source.text or "\\u2022" in source.text
        for keys, given in tasks:
            task, notes = upgrade_task(given)
            is_sound = True
            origin = _Origin(source, keys, upstreams_of(task))
            self._given.append((task_id_of(task), origin))
            if keys in unsound:
                continue
            masks = find_masks(task) if may_have_masks and isinstance(task, dict) else []
            own = islice(find_in_task(task), MAX_PROBLEMS)
            for finding in (*self._check_id(source, keys, task), *masks, *own):
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
        message = f"task_id must be unique, but {shorten(task_id)} stands in {first} already"
        return [Finding(("task_id",), message, shorten(task_id), "each id once")]


def _names(upstreams: Iterable[object]) -> set[str]:
    return {name for name in upstreams if isinstance(name, str)}


def _place(problem: ConfigProblem) -> tuple[float, int]:
    """Order problems of one file by their place; what concerns the file as a whole comes last."""
    return (float("inf") if problem.line is None else problem.line, problem.column or 0)


def _tasks(data: object) -> tuple[list[tuple[Keys, object]], list[Finding]]:
    """Return the tasks with their paths, whatever the layout, and what is wrong with the file around them."""
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
    near = next(filter(None, (hint(name, ("tasks",)) for name in names)), "")
    message = f"the file must be {LAYOUTS}, but {shorten(data)} was found{near}"
    return Finding((), message, shorten(data), LAYOUTS)


def _numbered(path: Keys, tasks: list[Any]) -> tuple[list[tuple[Keys, object]], list[Finding]]:
    if len(tasks) > MAX_TASKS:
        allowed, shown = f"a list of at most {MAX_TASKS:,} tasks", f"a list of {len(tasks):,} items"
        message = f"{path_text(path) or 'the file'} must be {allowed}, but {shown} was found"
        return [], [Finding(path, message, shown, allowed)]
    return [((*path, index), task) for index, task in enumerate(tasks)], []


def _find_in_file(data: dict[str, Any]) -> Iterator[Finding]:
    known = tuple(fields_of("file"))
    for name in data:
        if name not in known:
            yield unknown_field((name,), known)
    if "version" in data and (type(data["version"]) is not int or data["version"] != 1):
        yield refused(("version",), data["version"], "1")
    if not isinstance(data.get("$schema", ""), str):
        yield refused(("$schema",), data["$schema"], "text")
    if not isinstance(data["tasks"], list):
        yield refused(("tasks",), data["tasks"], "a list of tasks")
