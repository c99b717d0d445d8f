"""The words of the reasons of this app: one template for each code, in English, to be translated.

A text is made of a reason where it is stored, in English, and where it is shown, in the language of the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext, gettext_noop

from scheduler.choices import MisfirePolicy, Status
from scheduler.engine.reasons import (
    DURATIONS,
    Code,
    Plural,
    Reason,
    add_templates,
    plain_value,
    reason_of,
    render,
)
from scheduler.wording.times import sentence_duration

TEMPLATES: Mapping[Code, str | Plural] = {
    # how executions end
    Code.NO_EXIT_CODE: gettext_noop("the command left no exit code"),
    Code.KILLED_BY_SIGNAL: gettext_noop("killed by %(signal)s"),
    Code.EXIT_CODE: gettext_noop("exit code %(exit_code)s"),
    Code.COMMAND_NOT_EXECUTABLE: gettext_noop("exit code 126: the command is not executable"),
    Code.COMMAND_NOT_FOUND: gettext_noop("exit code 127: the command was not found"),
    Code.PROCESS_KILLED_BY_SIGNAL: gettext_noop(
        "exit code %(exit_code)s: a process of the command was killed by %(signal)s"
    ),
    Code.EXIT_CODE_MEANS_SUCCESS: gettext_noop("exit code %(exit_code)s means success (task_exit_codes)"),
    Code.EXIT_CODE_MEANS_BUSINESS_FAILURE: gettext_noop(
        "exit code %(exit_code)s means a business failure (task_exit_codes)"
    ),
    Code.EXIT_CODE_MEANS_TECHNICAL_FAILURE: gettext_noop(
        "exit code %(exit_code)s means a technical failure (task_exit_codes)"
    ),
    Code.EXIT_CODE_NOT_RETRIED: gettext_noop("%(what)s; not retried (no_retry of task_exit_codes)"),
    Code.TIMED_OUT: gettext_noop("ran longer than its timeout of %(seconds)s"),
    Code.WORKER_LOST: gettext_noop("worker lost"),
    Code.COMMAND_LOST: gettext_noop("worker lost: its command left neither a process nor an exit code"),
    Code.STOPPED_WITH_WORKER: gettext_noop("stopped with its worker (SCHEDULER_STOP=terminate)"),
    Code.PROCESSES_LEFT: gettext_noop("not retried, because processes could not be killed: %(processes)s"),
    Code.PROCESSES_LEFT_AFTER: gettext_noop(
        "%(what)s; not retried, because processes could not be killed: %(processes)s"
    ),
    Code.CANCELLED: gettext_noop("cancelled by %(user)s"),
    Code.RUN_CANCELLED: gettext_noop("run cancelled by %(user)s"),
    Code.CANCELLED_BY_DELETION: gettext_noop("task deleted by %(user)s"),
    Code.REPLACED: gettext_noop("replaced by a newer execution"),
    # why a command could not start
    Code.COULD_NOT_START: gettext_noop("could not start: %(why)s"),
    Code.SHELL_UNUSABLE: gettext_noop("the shell %(path)s does not exist or cannot be executed"),
    Code.PYTHON_FOLDER_WITHOUT_PYTHON: gettext_noop(
        "task_python is the folder %(path)s, which has no bin/python"
    ),
    Code.PYTHON_MISSING: gettext_noop("task_python is %(path)s, which does not exist"),
    Code.PYTHON_NOT_EXECUTABLE: gettext_noop("task_python is %(path)s, which may not be executed"),
    Code.PYTHON_FOLDER_NOT_WRITABLE: gettext_noop(
        "the folder %(path)s for python cannot be created: %(error)s"
    ),
    Code.FOLDER_LINK_BROKEN: gettext_noop("the folder %(path)s is a broken link"),
    Code.TASKS_FOLDER_LINK_BROKEN: gettext_noop("the tasks folder %(path)s is a broken link"),
    Code.FOLDER_LOST: gettext_noop(
        "the folder %(path)s is missing, and the task had one; mount or restore it, make an empty one, or rename the "
        "old one if the task was renamed"
    ),
    Code.FOLDER_MISSING: gettext_noop("the folder %(path)s does not exist"),
    Code.FOLDER_CLOSED: gettext_noop("the folder %(path)s may not be entered"),
    Code.ENV_FILE_MISSING: gettext_noop("the environment file %(path)s does not exist"),
    Code.ENV_FILE_UNREADABLE: gettext_noop("the environment file %(path)s cannot be read: %(error)s"),
    Code.ENV_FILE_NOT_UTF8: gettext_noop("the environment file %(path)s is not UTF-8"),
    Code.ENV_VALUE_REQUIRED: gettext_noop(
        "the environment file %(path)s, line %(line)s: %(name)s has no value: a value is required"
    ),
    Code.ENV_VALUE_REQUIRED_BECAUSE: gettext_noop(
        "the environment file %(path)s, line %(line)s: %(name)s has no value: %(why)s"
    ),
    Code.SPOOL_NOT_WRITABLE: gettext_noop("the spool cannot be written: %(error)s"),
    Code.COMMAND_HAS_NUL: gettext_noop("the command or its environment contains a NUL character"),
    Code.COMMAND_HAS_SURROGATE: gettext_noop(
        "the command or its environment contains a character that cannot be encoded (a lone surrogate)"
    ),
    Code.VARIABLE_NAME_HAS_EQUALS: gettext_noop("the name of an environment variable contains ="),
    Code.COMMAND_TOO_LONG: gettext_noop(
        "the command has %(bytes)s bytes; Linux starts at most %(most_bytes)s"
    ),
    Code.VARIABLE_TOO_LONG: gettext_noop(
        "the variable %(name)s has %(bytes)s bytes with its name; Linux allows at most %(most_bytes)s"
    ),
    Code.COMMAND_AND_VARIABLES_TOO_LONG: gettext_noop(
        "the command and its variables have %(bytes)s bytes together; Linux allows some %(most_bytes)s here"
    ),
    Code.TOO_MANY_OPEN_FILES: gettext_noop(
        "this process has too many open files (raise its limit, or lower SCHEDULER_SLOTS)"
    ),
    Code.TOO_MANY_OPEN_FILES_ON_HOST: gettext_noop("this host has too many open files"),
    Code.TOO_MANY_PROCESSES: gettext_noop("this user has too many processes"),
    Code.OUT_OF_MEMORY: gettext_noop("this host is out of memory"),
    # why executions did not begin, and what waits
    Code.NO_DISPATCHER: gettext_noop("no dispatcher was running at that time"),
    Code.SLOTS_LATE: Plural(
        gettext_noop(
            "1 slot was found at least %(late)s late, more than the grace of %(grace)s: no dispatcher was "
            "running or it was overloaded (missed slots: %(policy)s)"
        ),
        gettext_noop(
            "%(number)s slots were found at least %(late)s late, more than the grace of %(grace)s: no "
            "dispatcher was running or it was overloaded (missed slots: %(policy)s)"
        ),
    ),
    Code.SLOTS_BEFORE_CHANGE: Plural(
        gettext_noop("1 slot had not been dispatched when the task was changed"),
        gettext_noop("%(number)s slots had not been dispatched when the task was changed"),
    ),
    Code.SLOTS_BEFORE_DISABLING: Plural(
        gettext_noop("1 slot had not been dispatched when the task was paused"),
        gettext_noop("%(number)s slots had not been dispatched when the task was paused"),
    ),
    Code.SLOTS_BEFORE_DELETION: Plural(
        gettext_noop("1 slot had not been dispatched when the task was deleted"),
        gettext_noop("%(number)s slots had not been dispatched when the task was deleted"),
    ),
    Code.SLOT_NOT_COME: gettext_noop("the clock was ahead: the slot %(slot)s had not come"),
    Code.SLOT_NOT_COME_AFTER: gettext_noop("%(what)s; the clock was ahead: the slot %(slot)s had not come"),
    Code.ANOTHER_QUEUED: gettext_noop(
        "an execution of the same task was queued in the same pass (overlap: skip the new one)"
    ),
    Code.EXECUTION_ACTIVE: gettext_noop(
        "execution %(execution)s is still %(status)s (overlap: skip the new one)"
    ),
    Code.RETRY_WAITING: gettext_noop(
        "execution %(execution)s is a waiting retry: attempt %(attempt)s waits until %(until)s (overlap: skip the "
        "new one)"
    ),
    Code.TOO_MANY_WAITING: gettext_noop(
        "the maximum number of executions is waiting already (at most waiting: %(limit)s)"
    ),
    Code.TASK_DELETED: gettext_noop("the task was deleted"),
    Code.TASK_DISABLED: gettext_noop("the task is paused"),
    Code.TASK_WAS_DISABLED: gettext_noop("the task was paused"),
    Code.UPSTREAM_ENDED: gettext_noop("upstream %(task)s ended %(status)s, execution %(execution)s"),
    Code.NO_UPSTREAM_FAILED: gettext_noop("no upstream failed: %(tasks)s"),
    Code.NO_UPSTREAM_FAILED_SINCE_START: gettext_noop(
        "no upstream has failed since the last start: %(tasks)s"
    ),
    Code.NO_UPSTREAM_IN_RUN: gettext_noop("no upstream belongs to this run"),
    Code.WAITS_FOR_EXECUTION: gettext_noop("waits for %(task)s: no execution yet"),
    Code.WAITS_FOR_OUTCOME: gettext_noop("waits for %(task)s: %(status)s, execution %(execution)s"),
    Code.WAITS_FOR_SUCCESS: gettext_noop("waits for %(task)s: no success yet"),
    Code.WAITS_FOR_NEWER_SUCCESS: gettext_noop("waits for %(task)s: last success %(succeeded_at)s"),
    Code.WAITS_FOR_UNUSED_SUCCESS: gettext_noop(
        "waits for %(task)s: last success %(succeeded_at)s, already used by execution %(execution)s"
    ),
    # schedules
    Code.SCHEDULE_TOO_LONG: gettext_noop(
        "the schedule has %(number)s characters; at most %(most)s are allowed"
    ),
    Code.SCHEDULE_CHARACTER: gettext_noop(
        "the schedule has the character %(character)s; allowed are letters, digits, spaces and *,-/#?@"
    ),
    Code.SCHEDULE_HAS_ZONE: gettext_noop(
        'the schedule "%(expression)s" begins with %(name)s=, a line of its own in a crontab; allowed are the fields '
        "alone: the zone %(zone)s belongs in the time zone of the task (task_timezone)"
    ),
    Code.SCHEDULE_ALIAS_UNKNOWN: gettext_noop('unknown schedule alias "%(expression)s"; allowed: %(known)s'),
    Code.SCHEDULE_FIELD_COUNT: Plural(
        gettext_noop(
            'the schedule "%(expression)s" has 1 field; allowed are five (minute, hour, day of month, month, day of '
            "week) or six with seconds first; there is no year field"
        ),
        gettext_noop(
            'the schedule "%(expression)s" has %(number)s fields; allowed are five (minute, hour, day of month, month, '
            "day of week) or six with seconds first; there is no year field"
        ),
    ),
    Code.SCHEDULE_FIELD: gettext_noop(
        'the %(field)s field of the schedule "%(expression)s" has %(found)s; allowed are %(allowed)s'
    ),
    Code.SCHEDULE_RANGE_FALLS: gettext_noop(
        'the %(field)s field of the schedule "%(expression)s" has the range "%(range)s"; a range must rise, such as '
        "%(rising)s; write one value without a range, and two parts as a list"
    ),
    Code.SCHEDULE_DAYS_COMBINED: gettext_noop(
        'the schedule "%(expression)s" combines W, # or L<weekday> with the other day field; that one must be * then'
    ),
    Code.SCHEDULE_UNREADABLE: gettext_noop('the schedule "%(expression)s" cannot be read: %(error)s'),
    Code.SCHEDULE_NEVER_FIRES: gettext_noop(
        'the schedule "%(expression)s" never fires: no day of any year matches; at least one must'
    ),
    Code.SCHEDULE_FIRES_LATE: gettext_noop(
        'the schedule "%(expression)s" does not fire before %(date)s; it must fire within %(most)s years from now'
    ),
    Code.SCHEDULE_QUARTZ_DAYS: gettext_noop(
        'the schedule "%(expression)s" has ? beside weekdays as numbers: %(weekdays)s means %(here)s here and '
        "%(quartz)s in Quartz; write names such as mon-fri, or * instead of ? for the meaning here"
    ),
    Code.STEP_IS_WIDE: gettext_noop(
        'the step "%(item)s" is wider than the %(field)s field of the schedule "%(expression)s": it means %(value)s, '
        "as in cron"
    ),
    Code.TIME_ZONE_UNKNOWN: gettext_noop(
        'the time zone "%(name)s" is unknown; allowed are the names of the IANA database, such as Asia/Shanghai or '
        "Europe/Berlin"
    ),
    Code.SECOND: gettext_noop("second"),
    Code.MINUTE: gettext_noop("minute"),
    Code.HOUR: gettext_noop("hour"),
    Code.DAY_OF_MONTH: gettext_noop("day of month"),
    Code.MONTH: gettext_noop("month"),
    Code.DAY_OF_WEEK: gettext_noop("day of week"),
    Code.RANGES: gettext_noop("%(low)s to %(high)s, *, lists, rising ranges and steps"),
    Code.RANGES_OF_NAMES: gettext_noop(
        "%(low)s to %(high)s, *, lists, rising ranges and steps; also the names %(names)s"
    ),
    Code.RANGES_OF_DAYS: gettext_noop(
        "%(low)s to %(high)s, *, lists, rising ranges and steps, L (last day), 15W (weekday nearest to the 15th) and ?"
    ),
    Code.RANGES_OF_WEEKDAYS: gettext_noop(
        "%(low)s to %(high)s, *, lists, rising ranges and steps, 5#3 (third Friday), L5 (last Friday) and ?; also the "
        "names %(names)s"
    ),
    Code.THE_STEP: gettext_noop('the step "/%(step)s"'),
    Code.STEPS: gettext_noop("steps from /%(low)s to /%(high)s"),
    # what the present state does not admit
    Code.TASK_GONE: gettext_noop("Task %(task)s was deleted."),
    Code.TASK_NOT_DELETED: gettext_noop("Task %(task)s already exists."),
    Code.TASKS_DEPEND: gettext_noop(
        "Tasks depend on “%(task)s”: %(tasks)s. They would lose this dependency; add ?confirm=true to delete it all "
        "the same."
    ),
    Code.EXECUTION_HAS_ENDED: gettext_noop("Execution %(execution)s has already ended."),
    Code.EXECUTION_WITHOUT_RUN: gettext_noop(
        "Execution %(execution)s belongs to no run that can be retried; run the task again instead."
    ),
    Code.EXECUTION_SUCCEEDED: gettext_noop(
        "Execution %(execution)s succeeded; only failed, cancelled or skipped executions can be retried."
    ),
    Code.LATEST_IS_ACTIVE: gettext_noop(
        "Execution %(latest)s of the same run is “%(outcome)s”; wait until it ends."
    ),
    Code.LATER_EXECUTION: gettext_noop(
        "Execution %(execution)s was followed by execution %(latest)s in the same run; retry from that one."
    ),
    Code.RUN_HAS_ENDED: gettext_noop("Run %(run)s has already ended."),
    # exit codes of a task
    Code.EXIT_CODES_ALLOWED: gettext_noop('an exit code from 0 to %(high)s, or a range such as "64-78"'),
    Code.EXIT_CODES_ONCE: gettext_noop("codes that are named once (exit code %(exit_code)s is in %(name)s)"),
    Code.EXIT_CODES_OF_FAILURES: gettext_noop(
        "codes of technical failures (exit code %(exit_code)s means %(name)s)"
    ),
    Code.OTHER: gettext_noop("%(text)s"),
}
SEPARATORS = (gettext_noop("; "), gettext_noop(", "))
add_templates(TEMPLATES)

#: In English a status of two words reads otherwise on pages than in what is stored.
ENDED_IN = {
    Status.TECHNICAL_FAILURE: "in technical failure",
    Status.BUSINESS_FAILURE: "in business failure",
}


def told(reason: Reason | str | None) -> str:
    """Return a reason in the language of the reader, "" for none, and a plain text as it is."""
    if not isinstance(reason, Reason):
        return reason or ""
    return render(reason, translate=gettext, formatted=_of_reader)


def _of_reader(reason: Reason, name: str, value: Any) -> str | None:
    if name == "words":  # of the schema, which has no language
        return gettext(value)
    if name in DURATIONS:
        return sentence_duration(value)
    if name == "outcome":
        return str(Status(value).label)
    if name == "policy" and value in MisfirePolicy.values:
        return str(MisfirePolicy(value).label).lower()
    if name != "status":
        return None
    if (get_language() or "en").startswith("en"):
        return ENDED_IN.get(value) if reason.code == Code.UPSTREAM_ENDED else None
    return str(Status(value).label)


def told_linked(reason: Reason, link: Callable[[str, Any], str | None]) -> SafeString:
    """Return a reason as HTML in the language of the reader.

    Args:
        link: returns the address that a value leads to, by its name, or None.
    """

    def formatted(inner: Reason, name: str, value: Any) -> str | None:
        if isinstance(value, Reason) or (isinstance(value, list) and value and isinstance(value[0], Reason)):
            return None
        text = _of_reader(inner, name, value)
        text = escape(plain_value(inner.params, name, value) if text is None else text)
        address = link(name, value)
        return text if address is None else f'<a class="s-link" href="{escape(address)}">{text}</a>'

    return mark_safe(render(reason, translate=lambda text: escape(gettext(text)), formatted=formatted))  # noqa: S308 - each part is escaped


def told_error(error: Exception) -> str:
    """Return an error in the language of the reader, by its reason where it has one."""
    return told(reason_of(error))
