"""Reasons as values: a stable code with parameters. The text is rendered where it is displayed.

The templates live in `wording`, which registers them here, so that any code with a reason can also render it in
English: in a log, in the text of an exception, in the text column of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.engine.times import exact_instant, sentence_duration

Params = Mapping[str, Any]
SEPARATOR = "; "  # between several reasons; separators are templates too
SEPARATORS = {"choices": " or ", "upstreams": ", "}  # of other lists, by the name of the parameter
INSTANTS = ("at", "until", "slot", "succeeded_at")  # names of parameters, as `iso` writes them
DURATIONS = ("seconds", "grace", "late")  # names of parameters, in seconds
#: Formats a parameter of a reason, or returns None for the default format.
Format = Callable[["Reason", str, Any], str | None]


class Code(StrEnum):
    """Codes of reasons. The values are stored and returned by the API: they never change."""

    # ends of executions
    NO_EXIT_CODE = "no_exit_code"
    KILLED_BY_SIGNAL = "killed_by_signal"
    EXIT_CODE = "exit_code"
    COMMAND_NOT_EXECUTABLE = "command_not_executable"
    COMMAND_NOT_FOUND = "command_not_found"
    PROCESS_KILLED_BY_SIGNAL = "process_killed_by_signal"
    EXIT_CODE_MEANS_SUCCESS = "exit_code_means_success"
    EXIT_CODE_MEANS_BUSINESS_FAILURE = "exit_code_means_business_failure"
    EXIT_CODE_MEANS_TECHNICAL_FAILURE = "exit_code_means_technical_failure"
    EXIT_CODE_NOT_RETRIED = "exit_code_not_retried"
    TIMED_OUT = "timed_out"
    WORKER_LOST = "worker_lost"
    COMMAND_LOST = "command_lost"
    STOPPED_WITH_WORKER = "stopped_with_worker"
    PROCESSES_LEFT = "processes_left"
    PROCESSES_LEFT_AFTER = "processes_left_after"
    CANCELLED = "cancelled"
    RUN_CANCELLED = "run_cancelled"
    CANCELLED_BY_DELETION = "cancelled_by_deletion"
    REPLACED = "replaced"
    # start errors
    COULD_NOT_START = "could_not_start"
    SHELL_UNUSABLE = "shell_unusable"
    PYTHON_FOLDER_WITHOUT_PYTHON = "python_folder_without_python"
    PYTHON_MISSING = "python_missing"
    PYTHON_NOT_EXECUTABLE = "python_not_executable"
    PYTHON_FOLDER_NOT_WRITABLE = "python_folder_not_writable"
    FOLDER_LINK_BROKEN = "folder_link_broken"
    TASKS_FOLDER_LINK_BROKEN = "tasks_folder_link_broken"
    FOLDER_LOST = "folder_lost"
    FOLDER_MISSING = "folder_missing"
    FOLDER_CLOSED = "folder_closed"
    ENV_FILE_MISSING = "env_file_missing"
    ENV_FILE_UNREADABLE = "env_file_unreadable"
    ENV_FILE_NOT_UTF8 = "env_file_not_utf8"
    ENV_VALUE_REQUIRED = "env_value_required"
    ENV_VALUE_REQUIRED_BECAUSE = "env_value_required_because"
    SPOOL_NOT_WRITABLE = "spool_not_writable"
    COMMAND_HAS_NUL = "command_has_nul"
    COMMAND_HAS_SURROGATE = "command_has_surrogate"
    VARIABLE_NAME_HAS_EQUALS = "variable_name_has_equals"
    COMMAND_TOO_LONG = "command_too_long"
    VARIABLE_TOO_LONG = "variable_too_long"
    COMMAND_AND_VARIABLES_TOO_LONG = "command_and_variables_too_long"
    TOO_MANY_OPEN_FILES = "too_many_open_files"
    TOO_MANY_OPEN_FILES_ON_HOST = "too_many_open_files_on_host"
    TOO_MANY_PROCESSES = "too_many_processes"
    OUT_OF_MEMORY = "out_of_memory"
    # executions that did not begin or wait
    NO_DISPATCHER = "no_dispatcher"
    SLOTS_LATE = "slots_late"
    SLOTS_BEFORE_CHANGE = "slots_before_change"
    SLOTS_BEFORE_DISABLING = "slots_before_disabling"
    SLOTS_BEFORE_DELETION = "slots_before_deletion"
    SLOT_NOT_COME = "slot_not_come"
    SLOT_NOT_COME_AFTER = "slot_not_come_after"
    ANOTHER_QUEUED = "another_queued"
    EXECUTION_ACTIVE = "execution_active"
    RETRY_WAITING = "retry_waiting"
    TOO_MANY_WAITING = "too_many_waiting"
    TASK_DELETED = "task_deleted"
    TASK_DISABLED = "task_disabled"
    TASK_WAS_DISABLED = "task_was_disabled"
    UPSTREAM_ENDED = "upstream_ended"
    NO_UPSTREAM_FAILED = "no_upstream_failed"
    NO_UPSTREAM_FAILED_SINCE_START = "no_upstream_failed_since_start"
    NO_UPSTREAM_IN_RUN = "no_upstream_in_run"
    WAITS_FOR_EXECUTION = "waits_for_execution"
    WAITS_FOR_OUTCOME = "waits_for_outcome"
    WAITS_FOR_SUCCESS = "waits_for_success"
    WAITS_FOR_NEWER_SUCCESS = "waits_for_newer_success"
    WAITS_FOR_UNUSED_SUCCESS = "waits_for_unused_success"
    # schedules
    SCHEDULE_TOO_LONG = "schedule_too_long"
    SCHEDULE_CHARACTER = "schedule_character"
    SCHEDULE_HAS_ZONE = "schedule_has_zone"
    SCHEDULE_ALIAS_UNKNOWN = "schedule_alias_unknown"
    SCHEDULE_FIELD_COUNT = "schedule_field_count"
    SCHEDULE_FIELD = "schedule_field"
    SCHEDULE_RANGE_FALLS = "schedule_range_falls"
    SCHEDULE_DAYS_COMBINED = "schedule_days_combined"
    SCHEDULE_UNREADABLE = "schedule_unreadable"
    SCHEDULE_NEVER_FIRES = "schedule_never_fires"
    SCHEDULE_FIRES_LATE = "schedule_fires_late"
    SCHEDULE_QUARTZ_DAYS = "schedule_quartz_days"
    STEP_IS_WIDE = "step_is_wide"
    TIME_ZONE_UNKNOWN = "time_zone_unknown"
    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY_OF_MONTH = "day_of_month"
    MONTH = "month"
    DAY_OF_WEEK = "day_of_week"
    RANGES = "ranges"
    RANGES_OF_NAMES = "ranges_of_names"
    RANGES_OF_DAYS = "ranges_of_days"
    RANGES_OF_WEEKDAYS = "ranges_of_weekdays"
    THE_STEP = "the_step"
    STEPS = "steps"
    # conflicts with the current state
    TASK_GONE = "task_gone"
    TASK_NOT_DELETED = "task_not_deleted"
    TASKS_DEPEND = "tasks_depend"
    EXECUTION_HAS_ENDED = "execution_has_ended"
    EXECUTION_WITHOUT_RUN = "execution_without_run"
    EXECUTION_SUCCEEDED = "execution_succeeded"
    LATEST_IS_ACTIVE = "latest_is_active"
    LATER_EXECUTION = "later_execution"
    RUN_HAS_ENDED = "run_has_ended"
    # exit codes of a task
    EXIT_CODES_ALLOWED = "exit_codes_allowed"
    EXIT_CODES_ONCE = "exit_codes_once"
    EXIT_CODES_OF_FAILURES = "exit_codes_of_failures"
    # literal text: from the operating system, or stored before codes were introduced
    OTHER = "other"


@dataclass(frozen=True)
class Plural:
    """Singular and plural templates: `one` is used if the parameter `number` is 1."""

    one: str
    many: str


@dataclass(frozen=True)
class Reason:
    """A reason code with its parameters. ``str()`` renders an English sentence without a full stop.

    Attributes:
        code: of this app or another one.
        params: strings, numbers, instants as ISO 8601 in UTC, other reasons, and lists of these.
    """

    code: StrEnum
    params: Params = field(default_factory=dict)

    def __str__(self) -> str:
        return render(self)

    def mapped(self, change: Callable[[str], str]) -> Reason:
        """Return a copy with `change` applied to each string parameter, for example to mask secrets."""
        return Reason(self.code, {name: _mapped(value, change) for name, value in self.params.items()})

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form with which a reason is nested in parameters."""
        return {"code": str(self.code), "params": self.params_json()}

    def params_json(self) -> dict[str, Any]:
        """Return the parameters as JSON; a nested reason is an object with its code and params."""
        return {name: _to_json(value) for name, value in self.params.items()}


def as_reason(said: Reason | str) -> Reason:
    """Return `said` as a reason; plain text becomes a reason with the code OTHER."""
    return said if isinstance(said, Reason) else Reason(Code.OTHER, {"text": said})


def reason_of(error: BaseException) -> Reason:
    """Return the reason of an exception, or one made of its text."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, Reason) else as_reason(str(error))


def shortened(reason: Reason, longest: int) -> Reason:
    """Shorten a reason to at most `longest` characters of English: drop list items, or else truncate its text."""
    while len(str(reason)) > longest:
        params = {name: _halved(value) for name, value in reason.params.items()}
        if params == reason.params:
            return as_reason(str(reason)[:longest])
        reason = Reason(reason.code, params)
    return reason


def _halved(value: Any) -> Any:
    """Return a value with its longest lists cut in half."""
    if isinstance(value, Reason):
        return Reason(value.code, {name: _halved(part) for name, part in value.params.items()})
    if isinstance(value, list | tuple) and any(isinstance(part, Reason) for part in value):
        return [_halved(part) for part in value]
    if isinstance(value, list | tuple) and len(value) > 1:
        return [*value[: len(value) // 2 - (value[-1] == "…")], "…"] if len(value) > 2 else [value[0]]
    return value


def stored_reason(code: str | None, params: Params | None) -> Reason | None:
    """Return the stored reason; None without a code, or with one unknown to this version."""
    known = _known.get(code or "")
    if known is None:
        return None
    return Reason(known, {name: _from_json(value) for name, value in (params or {}).items()})


_templates: dict[str, str | Plural] = {}
_known: dict[str, StrEnum] = {}


def add_templates(templates: Mapping[Any, str | Plural]) -> None:
    """Register the templates of the codes of an app.

    Raises:
        ValueError: a code is registered with another template.
    """
    for code, template in templates.items():
        if _templates.setdefault(code, template) != template:
            raise ValueError(f"{code} has a template already")
        _known[str(code)] = code


def remove_templates(templates: Mapping[Any, str | Plural]) -> None:
    """Unregister templates; rows with their codes then show the stored text."""
    for code in templates:
        del _templates[code], _known[str(code)]


def registered_codes() -> Iterable[StrEnum]:
    """Return the codes that have templates."""
    return _known.values()


def template_of(code: StrEnum) -> str | Plural:
    """Return the English template of a code, with ``%(name)s`` for each value."""
    return _templates[code]


def render(reason: Reason, *, translate: Callable[[str], str] = str, formatted: Format | None = None) -> str:
    """Render a reason as text, by default in English.

    Args:
        translate: translates a template.
        formatted: overrides the format of parameters for a language or a page.
    """
    template = _templates.get(reason.code)
    if template is None:  # in a process without registered templates
        return str(reason.code)
    if isinstance(template, Plural):
        template = template.one if reason.params["number"] == 1 else template.many

    def text(name: str, value: Any) -> str:
        own = None if formatted is None else formatted(reason, name, value)
        if own is not None:
            return own
        if isinstance(value, Reason):
            return render(value, translate=translate, formatted=formatted)
        if isinstance(value, list | tuple) and any(isinstance(part, Reason) for part in value):
            separator = SEPARATORS.get(name, SEPARATOR)
            return translate(separator).join(text(name, part) for part in value)
        return plain_value(reason.params, name, value)

    return translate(template) % {name: text(name, value) for name, value in reason.params.items()}


def plain_value(params: Params, name: str, value: Any) -> str:
    """Format a parameter in English; its name decides whether it is an instant, seconds or bytes."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if name in INSTANTS:
        return _instant_text(value, params.get("zone"))
    if name in DURATIONS:
        return sentence_duration(value)
    return f"{value:,}" if name == "count" or name.endswith("bytes") else str(value)


def _instant_text(value: str, zone: str | None) -> str:
    if not value:
        return ""
    return exact_instant(datetime.fromisoformat(value), ZoneInfo(zone or "UTC"))


def _to_json(value: Any) -> Any:
    if isinstance(value, Reason):
        return value.as_json()
    return [_to_json(part) for part in value] if isinstance(value, list | tuple) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return stored_reason(value.get("code"), value.get("params")) or ""
    return [_from_json(part) for part in value] if isinstance(value, list) else value


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, Reason):
        return value.mapped(change)
    if isinstance(value, list | tuple):
        return [_mapped(part, change) for part in value]
    return change(value) if isinstance(value, str) else value
