"""Validation of one task: against the schema, and rules that a schema cannot express."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple, cast

from scheduler.config_file.compiled import accepted, definition_check
from scheduler.config_file.legacy import find_in_older_notify, upgrade_task
from scheduler.config_file.line_breaks import with_lf
from scheduler.config_file.notify_rules import find_in_rules, find_repeated
from scheduler.config_file.problems import ConfigError, Finding, Keys, refused, shorten
from scheduler.config_file.reasons import Code
from scheduler.config_file.sanity import find_unsound
from scheduler.config_file.schema import allowed_words, fields_of
from scheduler.config_file.schema_errors import find_schema_errors
from scheduler.config_file.secret_values import find_short_secrets
from scheduler.config_file.sizes import MOST_TOLD, within_limits
from scheduler.config_file.specs import TaskSpec, given_fields, normal_task
from scheduler.config_file.upstreams import FIELD, find_unknown
from scheduler.engine.exit_codes import find_wrong_codes
from scheduler.engine.reasons import Reason, reason_of
from scheduler.engine.schedules import accept_schedule
from scheduler.exceptions import InvalidScheduleError
from scheduler.runner.decoding import is_text_encoding
from scheduler.runner.environment import LONGEST_ARGUMENT

ANY_ZONE, ANY_TIME = "UTC", "0 0 * * *"


def validate_task(
    data: object, *, file: str = "", partial: bool = False, known: Collection[str] | None = None
) -> TaskSpec:
    """Validate and normalise one task from the API or a form.

    Args:
        known: ids of tasks on which it may depend; None: not checked here.
        partial: required fields may be missing, and only the given fields are returned, without defaults, to be merged
            into a stored task.

    Raises:
        ConfigError: contains all problems, at most 200; paths begin at the task.
    """
    upgraded, _notes = upgrade_task(data)
    data, findings, is_valid = bounded_task(upgraded)
    unsound = list(islice(find_unsound(data), MOST_TOLD))
    findings += unsound
    if not unsound:
        found = find_in_task(data, partial=partial, is_valid=is_valid)
        own = (f for f in found if not (partial and _is_of_task(f)))
        findings += islice(own, max(MOST_TOLD - len(findings), 0))
        if known is not None:
            unknown = find_unknown(upstreams_of(data), {*known, task_id_of(data)})
            findings += islice(unknown, max(MOST_TOLD - len(findings), 0))
    if findings:
        raise ConfigError([finding.as_problem(file) for finding in findings])
    task = cast(dict[str, Any], data)
    return given_fields(task) if partial else normal_task(task)


def _is_of_task(finding: Finding) -> bool:
    """Return whether a field of the task itself is missing, not one of a nested object."""
    return finding.is_absence and len(finding.path) == 1


class BoundedTask(NamedTuple):
    """A task in the current form, truncated to the limits of the schema.

    Attributes:
        too_large: findings for values that exceed the limits.
        is_valid: whether the schema accepts it.
    """

    task: object
    too_large: list[Finding]
    is_valid: bool


def bounded_task(task: object) -> BoundedTask:
    """Return a task truncated to the limits of the schema."""
    if definition_check("task")(task):
        return BoundedTask(task, [], True)
    return BoundedTask(*within_limits(task, "task"), False)


def task_id_of(task: object) -> str:
    """Return the id of a task, valid or not; "" without one."""
    task_id = task.get("task_id") if isinstance(task, dict) else None
    return task_id if isinstance(task_id, str) else ""


def upstreams_of(task: object) -> list[object]:
    """Return the upstreams of a task, valid or not."""
    upstreams = task.get(FIELD) if isinstance(task, dict) else None
    return upstreams if isinstance(upstreams, list) else []


def find_in_task(task: object, *, partial: bool = False, is_valid: bool = False) -> Iterator[Finding]:
    """Yield all problems of one task in the current form that has passed `find_unsound`.

    Args:
        is_valid: True if the schema is already known to accept it.
    """
    bad: set[str | int] = set()
    notify = task.get("task_notify") if isinstance(task, dict) else None
    older = list(find_in_older_notify(notify)) if isinstance(notify, dict) else []
    yield from older
    for finding in () if is_valid else find_schema_errors(task):
        if older and finding.path == ("task_notify",):
            bad.add("task_notify")
            continue
        if len(finding.path) == 1:
            bad.add(finding.path[0])
        yield finding
    if isinstance(task, dict):
        rest = {name: value for name, value in task.items() if name not in bad}
        yield from _beyond_schema(rest, is_parallel_known=not partial and "task_concurrency" not in bad)


def _beyond_schema(task: Mapping[str, Any], *, is_parallel_known: bool) -> Iterator[Finding]:
    """Yield problems beyond the schema in the fields that it accepts; items of lists and objects may be invalid."""
    for name in ("task_name", "task_exec"):
        if name in task and not task[name].strip():
            yield refused((name,), task[name], allowed_words(fields_of("task")[name]))
    yield from _check_bytes(task)
    yield from _check_schedule(task)
    yield from _check_dependencies(task)
    yield from find_repeated(("task_tags",), task.get("task_tags", []))
    yield from _check_parallel(task, "skip" if is_parallel_known else "allow")
    yield from _check_env_file(task)
    yield from find_short_secrets(task.get("task_env", {}))
    yield from _check_exit_codes(task)
    yield from _check_encoding(task)
    yield from find_in_rules(task.get("task_notify", []))


def _check_bytes(task: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the texts that exceed Linux's limit for an argument: it counts bytes, the schema characters."""
    fields = fields_of("task")
    yield from _check_size(("task_exec",), task.get("task_exec", ""), "", fields["task_exec"])
    for name, value in task.get("task_env", {}).items():
        if isinstance(value, str):
            of_values = fields["task_env"]["additionalProperties"]
            yield from _check_size(("task_env", name), value, f"{name}=", of_values)


def _check_size(path: Keys, text: str, before: str, schema: Mapping[str, Any]) -> Iterator[Finding]:
    if len(text) <= LONGEST_ARGUMENT // 8:
        return
    size = len((before + with_lf(text)).encode())
    if size > LONGEST_ARGUMENT:
        yield refused(path, text, allowed_words(schema), shown=Reason(Code.BYTES_FOUND, {"bytes": size}))


def _check_schedule(task: Mapping[str, Any]) -> Iterator[Finding]:
    expression, zone = task.get("task_schedule", ""), task.get("task_timezone", "")
    error = _schedule_error(ANY_TIME, zone) if zone else None
    if error:
        yield Finding(("task_timezone",), error, shorten(zone), Reason(Code.TIME_ZONE))
    error = _schedule_error(expression, ANY_ZONE) if expression else None
    if error:
        yield Finding(("task_schedule",), error, shorten(expression), Reason(Code.SCHEDULE))


def _schedule_error(expression: str, zone: str) -> Reason | None:
    try:
        accept_schedule(expression, zone, datetime.now(UTC))
    except InvalidScheduleError as error:
        return reason_of(error)
    return None


def _check_dependencies(task: Mapping[str, Any]) -> Iterator[Finding]:
    upstreams, task_id = task.get(FIELD, []), task.get("task_id")
    yield from find_repeated((FIELD,), upstreams)
    if task_id in upstreams:
        path: Keys = (FIELD, upstreams.index(task_id))
        why = Reason(Code.CYCLE, {"path": f"{task_id} → {task_id}"})
        yield Finding(path, why, shorten(task_id), Reason(Code.OTHER_TASK))


def _check_parallel(task: Mapping[str, Any], default: str) -> Iterator[Finding]:
    concurrency = task.get("task_concurrency", default)
    if task.get("task_max_parallel") is not None and concurrency != "allow":
        allowed = Reason(Code.NULL_UNLESS_ALLOW, {"found": str(concurrency)})
        yield refused(("task_max_parallel",), task["task_max_parallel"], allowed)


def _check_exit_codes(task: Mapping[str, Any]) -> Iterator[Finding]:
    if not task.get("task_exit_codes"):
        return
    given = accepted("task", {"task_exit_codes": task["task_exit_codes"]})
    for path, item, allowed in find_wrong_codes(given.get("task_exit_codes", {})):
        yield refused(("task_exit_codes", *path), item, allowed)


def _check_encoding(task: Mapping[str, Any]) -> Iterator[Finding]:
    name = task.get("task_encoding", "")
    if name and not is_text_encoding(name):
        yield refused(("task_encoding",), name, allowed_words(fields_of("task")["task_encoding"]))


def _check_env_file(task: Mapping[str, Any]) -> Iterator[Finding]:
    path = task.get("task_env", {}).get("_ENV_FILE")
    if isinstance(path, str) and (not path.strip() or ".." in path.split("/")):
        yield refused(("task_env", "_ENV_FILE"), path, Reason(Code.PATH_WITHOUT_DOTS))
