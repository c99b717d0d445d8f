"""What is wrong with a configuration is said in a sentence, with line and column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scheduler.config_file import (
    ConfigError,
    diff_spec,
    dump_config,
    load_schema,
    parse_config,
    read_config,
    task_fields,
    validate_task,
)
from scheduler.config_file.notify_rules import TEMPLATE_NAMES
from tests.support.cases import each_case

SOUND = {"task_id": "a", "task_name": "A", "task_exec": "true"}
EMAIL = {"type": "email", "recipients": ["ops@example.org"]}
NAMES = ", ".join(TEMPLATE_NAMES)


def messages(raw: bytes | str) -> list[str]:
    """Return what is said of a configuration that must be refused."""
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, file="config.json")
    return str(caught.value).splitlines()


def task(**fields: Any) -> str:
    """Return a task on one line; the fields in question begin at column 57."""
    return json.dumps({**SOUND, **fields}, ensure_ascii=False)


def rule(**fields: Any) -> str:
    """Return a task with one rule."""
    return task(task_notify=[{"triggers": ["success"], "channels": [EMAIL], **fields}])


BROKEN_TEXT: list[tuple[bytes | str, str]] = [
    ("", "1:1: the file is empty; it must contain at least []"),
    ("[1,\n 2,\n]", '2:3: remove the comma before "]"; JSON allows none after the last value'),
    ('{"tasks": [],}', '1:13: remove the comma before "}"; JSON allows none after the last value'),
    ("{'a': 1}", "1:2: text must be in double quotes; single quotes are not allowed in JSON"),
    ("[\n // none\n]", "2:2: comments are not allowed in JSON"),
    ("[ # none\n]", "1:3: comments are not allowed in JSON"),
    ("[True]", "1:2: true, false and null must be lowercase"),
    ("{a: 1}", "1:2: a name in double quotes is expected here"),
    ("[] []", "1:4: nothing may follow the end of the JSON"),
    ('["a\nb"]', r"1:4: a line break or other control character in text must be written as \n, \t or \u0001"),
    ('["abc', "1:2: the text starting here needs a closing double quote"),
    ("[1 2]", "1:4: a comma or the closing bracket is expected here"),
    (
        '{"tasks": []}'.encode("utf-16"),
        "1:1: the file must be UTF-8, but UTF-16 or UTF-32 was found; save it as UTF-8",
    ),
    (b'[\n"\xc3\xa9\xe9"]', "2:3: the file must be UTF-8, but the byte 0xe9 at offset 5 is not"),
    (b'\xef\xbb\xbf["\xe9"]', "1:3: the file must be UTF-8, but the byte 0xe9 at offset 5 is not"),
    ("[" * 33, "1:33: the file must have at most 32 levels, but more were found"),
    (
        '{"task_id": "a",\n "task_id": "b"}',
        '2:2: task_id: "task_id" must appear once in its object, but was found twice',
    ),
    (
        '{"task_timeout": NaN}',
        "1:18: task_timeout: task_timeout must be a finite number of at most 15 digits, but NaN was found",
    ),
    (
        '{"task_timeout": 1e999}',
        "1:18: task_timeout: task_timeout must be a finite number of at most 15 digits, but 1e999 was found",
    ),
    (
        '{"task_retry": ' + "9" * 5000 + "}",
        "1:16: task_retry: task_retry must be a finite number of at most 15 digits, but "
        + "9" * 40
        + " was found",
    ),
    (
        r'{"task_name": "\ud800"}',
        "1:15: task_name: task_name must be text without NUL and without half of a surrogate pair, "
        r'but "\ud800" was found',
    ),
    (
        r'{"task_env": {"A": "\u0000"}}',
        "1:20: task_env.A: A must be text without NUL and without half of a surrogate pair, "
        r'but "\u0000" was found',
    ),
    ("{}", '1:1: the file must be {"tasks": [...]}, a list of tasks, or one task, but {} was found'),
    (
        '{"task": 1}',
        '1:1: the file must be {"tasks": [...]}, a list of tasks, or one task, but {"task": 1} was found; '
        'did you mean "tasks"?',
    ),
    ('{"tasks": [], "version": 2}', "1:26: version: version must be 1, but 2 was found"),
    ('{"tasks": [], "version": true}', "1:26: version: version must be 1, but true was found"),
    ('{"tasks": 3}', "1:11: tasks: tasks must be a list of tasks, but 3 was found"),
    ('{"tasks": [], "verson": 1}', '1:15: verson: unknown field "verson"; did you mean "version"?'),
    ('{"tasks": [}', "1:12: this must be JSON: expecting value"),
    ('"x"', '1:1: the file must be {"tasks": [...]}, a list of tasks, or one task, but "x" was found'),
    ("[7]", "1:2: [0]: the task must be an object, but 7 was found"),
]

BROKEN_TASKS: list[tuple[str, str]] = [
    (
        task(task_timeot=5),
        '1:57: task_timeot: unknown field "task_timeot"; did you mean "task_timeout"?',
    ),
    (
        task(task_timeout="5"),
        '1:73: task_timeout: task_timeout must be a number above 0 up to 31536000 or null, but "5" was found',
    ),
    (
        task(task_timeout=0),
        "1:73: task_timeout: task_timeout must be a number above 0 up to 31536000 or null, but 0 was found",
    ),
    (
        task(task_retry=True),
        "1:71: task_retry: task_retry must be a whole number from 0 to 100, but true was found",
    ),
    (
        task(task_enabled=1),
        "1:73: task_enabled: task_enabled must be true or false, but 1 was found",
    ),
    (
        task(task_id="a\n"),
        r'1:13: task_id: task_id must be 1 to 64 letters, digits, _ and -, but "a\n" was found',
    ),
    (
        task(task_exec=" "),
        '1:49: task_exec: task_exec must be text of 1 to 131071 bytes in UTF-8, not only spaces, but " " was found',
    ),
    (
        task(task_exec="x" * 262145),
        "1:49: task_exec: task_exec must be text of 1 to 131071 bytes in UTF-8, not only spaces, "
        "but text of 262,145 characters was found",
    ),
    (
        task(task_tags=["a", "b c"]),
        "1:76: task_tags[1]: task_tags[1] must be text of 1 to 50 characters without spaces and commas, "
        'but "b c" was found',
    ),
    (
        task(task_tags=["a", "a"]),
        '1:76: task_tags[1]: task_tags[1] must not repeat "a", which is in the list already',
    ),
    (
        task(task_dependencies=["a"]),
        "1:79: task_dependencies[0]: the dependencies would form a cycle: a → a",
    ),
    (
        task(task_dependencies=["b", "b"]),
        '1:84: task_dependencies[1]: task_dependencies[1] must not repeat "b", which is in the list already',
    ),
    (
        task(task_dependencies=[4]),
        "1:79: task_dependencies[0]: task_dependencies[0] must be the id of a task: 1 to 64 letters, digits, _ and -, "
        "but 4 was found",
    ),
    (
        task(task_dependencies="b"),
        '1:78: task_dependencies: task_dependencies must be a list of at most 1000 items, but "b" was found',
    ),
    (
        task(task_env={"1A": "x"}),
        '1:70: task_env.1A: the name "1A" in task_env must have letters, digits and _, '
        "not beginning with a digit, at most 200",
    ),
    (
        task(task_env={"_ENV_FILE": "../x"}),
        '1:83: task_env._ENV_FILE: _ENV_FILE must be a path without .., but "../x" was found',
    ),
    (
        task(task_concurrency="skipp"),
        "1:77: task_concurrency: task_concurrency must be one of skip, queue, replace, allow, "
        'but "skipp" was found; did you mean "skip"?',
    ),
    (
        task(task_max_parallel=2),
        '1:78: task_max_parallel: task_max_parallel must be null unless task_concurrency is "allow" '
        '(it is "skip"), but 2 was found',
    ),
    (
        task(task_deadline="24:00"),
        "1:74: task_deadline: task_deadline must be a local time HH:MM, a number of seconds above 0 up to 31536000, "
        'or null, but "24:00" was found',
    ),
    (
        task(task_schedule="61 * * * *"),
        '1:74: task_schedule: the minute field of the schedule "61 * * * *" has "61"; '
        "allowed are 0 to 59, *, lists, rising ranges and steps",
    ),
    (
        task(task_timezone="Mars"),
        '1:74: task_timezone: the time zone "Mars" is unknown; allowed are the names of the IANA database, '
        "such as Asia/Shanghai or Europe/Berlin",
    ),
    (
        task(task_id="a b"),
        '1:13: task_id: task_id must be 1 to 64 letters, digits, _ and -, but "a b" was found',
    ),
    (
        task(task_retry=101),
        "1:71: task_retry: task_retry must be a whole number from 0 to 100, but 101 was found",
    ),
    (
        task(task_schedule="0 0 30 2 *"),
        '1:74: task_schedule: the schedule "0 0 30 2 *" never fires: no day of any year matches; '
        "at least one must",
    ),
    (
        task(task_env={"A": 1}),
        "1:75: task_env.A: A must be text of at most 131071 bytes in UTF-8, with name and =, but 1 was found",
    ),
    (
        rule(triggers=[]),
        "1:86: task_notify[0].triggers: triggers must be a list of 1 to 9 items, but [] was found",
    ),
    (
        rule(threshold=0),
        "1:180: task_notify[0].threshold: threshold must be a whole number from 1 to 100000, but 0 was found",
    ),
    (
        rule(channels=[{"type": "mail"}]),
        "1:121: task_notify[0].channels[0].type: type must be one of email, webhook, apprise, "
        'but "mail" was found; did you mean "email"?',
    ),
    (
        rule(channels=[{"type": "webhook"}]),
        "1:112: task_notify[0].channels[0].url: url is missing; "
        "it must be an http or https URL of at most 2000 characters without spaces",
    ),
    (
        rule(channels=[{**EMAIL, "recipients": ["ops@example.org", "ops"]}]),
        "1:164: task_notify[0].channels[0].recipients[1]: "
        'recipients[1] must be one mail address such as ops@example.org, but "ops" was found',
    ),
    (
        rule(channels=[{**EMAIL, "subject_template": "{{task_nam}}"}]),
        "1:185: task_notify[0].channels[0].subject_template: subject_template has the unknown placeholder "
        f'"task_nam"; allowed: {NAMES}; did you mean "task_name"?',
    ),
    (
        rule(channels=[{**EMAIL, "body_template": "{{task_id}} {{"}]),
        "1:182: task_notify[0].channels[0].body_template: "
        f'body_template must have a placeholder name and }}}} after each {{{{, but "{{{{" was found; allowed: {NAMES}',
    ),
]


@each_case(("raw", "message"), BROKEN_TEXT)
def test_text_that_is_no_configuration_is_refused_with_its_place(raw: bytes | str, message: str) -> None:
    assert messages(raw) == [f"config.json:{message}"]


@each_case(("raw", "message"), BROKEN_TASKS)
def test_field_is_refused_with_its_place_value_and_what_is_allowed(raw: str, message: str) -> None:
    assert messages(raw) == [f"config.json:{message}"]


def test_masks_that_pages_show_instead_of_secrets_are_refused() -> None:
    channel = {"type": "webhook", "url": "https://hooks.example.org/••••••", "secret": "••••••"}
    task = {
        "task_id": "a",
        "task_name": "A",
        "task_exec": "true",
        "task_env": {"PLAIN": "•", "TOKEN": "••••••"},
        "task_notify": [{"triggers": ["timeout"], "channels": [channel]}],
    }
    lines = [
        "tasks[0].task_env.TOKEN: TOKEN is a mask, but no secret is stored here; enter the secret",
        "tasks[0].task_notify[0].channels[0].url: url is a mask, but no secret is stored here; enter the secret",
        "tasks[0].task_notify[0].channels[0].secret: secret is a mask, but no secret is stored here; enter the secret",
    ]

    for is_ascii in (False, True):
        raw = json.dumps({"tasks": [task]}, ensure_ascii=is_ascii)
        assert [line.split(": ", 1)[1] for line in messages(raw)] == lines


def test_all_problems_are_reported_in_the_order_of_the_text() -> None:
    raw = '{"tasks": [\n {"task_id": "a", "task_name": "A", "task_exec": 1},\n {"task_id": "a", "task_name": "B"}\n]}'

    assert messages(raw) == [
        "config.json:2:50: tasks[0].task_exec: task_exec must be text of 1 to 131071 bytes in UTF-8, not only spaces, "
        "but 1 was found",
        "config.json:3:2: tasks[1].task_exec: task_exec is missing; "
        "it must be text of 1 to 131071 bytes in UTF-8, not only spaces",
        'config.json:3:14: tasks[1].task_id: task_id must be unique, but "a" is in config.json: tasks[0] already',
    ]


def test_problems_of_the_file_and_unsound_values_do_not_hide_those_of_tasks() -> None:
    raw = """{"tasks": [
 {"task_id": "a", "task_name": "A", "task_exec": "true", "task_retry": -1},
 {"task_id": "b", "task_name": "B", "task_exec": "true", "task_desc": "x", "task_desc": "y", "task_retry": -1},
 {"task_id": "c", "task_name": "C", "task_exec": "true", "task_dependencies": ["b"], "task_timeout": NaN}
], "foo": 1}"""

    assert [line.split(": ")[1] for line in messages(raw)] == [
        "tasks[0].task_retry",
        "tasks[1].task_desc",
        "tasks[2].task_timeout",
        "foo",
    ]


def test_each_cycle_is_told() -> None:
    edges = {"a": "b", "b": "a", "c": "d", "d": "c", "e": "a"}
    tasks = [
        {"task_id": down, "task_name": down, "task_exec": "true", "task_dependencies": [up]}
        for down, up in edges.items()
    ]

    assert [line.split(": ", 1)[1] for line in messages(json.dumps(tasks))] == [
        "[0].task_dependencies: the dependencies would form a cycle: a → b → a",
        "[2].task_dependencies: the dependencies would form a cycle: c → d → c",
    ]


def test_an_unknown_policy_of_overlap_causes_no_second_problem() -> None:
    raw = json.dumps(
        {
            "task_id": "a",
            "task_name": "A",
            "task_exec": "x",
            "task_concurrency": "Allow",
            "task_max_parallel": 2,
        }
    )

    [line] = messages(raw)
    assert "task_concurrency must be" in line


def test_printed_list_ends_after_200_problems() -> None:
    lines = messages(json.dumps([1] * 250))

    assert len(lines) == 201
    assert lines[-1] == "and 50 more"


def test_reading_ends_after_a_thousand_problems() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(json.dumps([1] * 5000), file="config.json")

    assert len(caught.value.problems) == 1001
    assert str(caught.value.problems[-1]) == "config.json: stopped after 1,000 errors; there may be more"


def test_more_than_20_000_tasks_are_refused() -> None:
    assert messages(json.dumps({"tasks": [0] * 20_001})) == [
        "config.json:1:11: tasks: tasks must be a list of at most 20,000 tasks, but a list of 20,001 items was found"
    ]


def test_more_than_5_mb_are_refused() -> None:
    assert messages(b" " * (5 * 1024 * 1024 + 1)) == [
        "config.json: the file must have at most 5,242,880 bytes, but more were found"
    ]


def test_problem_of_the_stored_tasks_is_told_at_the_place_in_the_text() -> None:
    raw = '[\n {"task_id": "a", "task_name": "A", "task_exec": "true",\n  "task_dependencies": ["z", "b"]}]'
    document = parse_config(raw, file="config.json")

    problem = document.problem(0, "task_dependencies[1]", 'there is no task "z"', "z", "an existing task")

    assert document.specs[0]["task_dependencies"] == ["b", "z"]
    assert str(problem) == 'config.json:3:25: [0].task_dependencies[0]: there is no task "z"'


@each_case("text", [task(), f"[{task()}]", f'{{"tasks": [{task()}]}}', "\ufeff" + task()])
def test_each_layout_is_read(text: str) -> None:
    assert parse_config(text, file="").specs == [validate_task(SOUND)]


def test_folder_is_read_and_tells_the_problems_of_all_its_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(task(task_id=name))
    ids = [spec["task_id"] for spec in read_config(tmp_path).specs]
    (tmp_path / "a" / "config.json").write_text("[")
    (tmp_path / "b" / "config.json").write_text("[3]")

    with pytest.raises(ConfigError) as caught:
        read_config(tmp_path)

    assert ids == ["a", "b"]
    assert [problem.file for problem in caught.value.problems] == [
        str(tmp_path / "a" / "config.json"),
        str(tmp_path / "b" / "config.json"),
    ]


def test_missing_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the file must be readable, but is not: No such file or directory"):
        read_config(tmp_path / "config.json")


def test_older_notify_becomes_rules() -> None:
    older = {"on_success": True, "on_failure": ["b@example.org"], "email": "a@example.org; c@example.org"}

    document = parse_config(task(task_notify=older, task_log="/tmp/a.log"), file="")

    rules = document.specs[0]["task_notify"]
    assert [(r["triggers"], r["channels"][0]["recipients"]) for r in rules] == [
        (["success"], ["a@example.org", "c@example.org"]),
        (["business_failure", "technical_failure", "timeout"], ["b@example.org"]),
    ]
    assert [str(note) for note in document.notes] == [
        "a: task_log is kept in the history instead",
        "a: task_notify in its older form became 2 rules",
    ]


def test_an_older_notify_that_is_not_understood_says_which_part() -> None:
    older = {"on_failre": True, "on_success": 1, "email": {"to": "a@example.org"}}

    assert messages(task(task_notify=older)) == [
        'config.json:1:73: task_notify.on_failre: unknown field "on_failre"; did you mean "on_failure"?',
        "config.json:1:106: task_notify.on_success: on_success must be true, false, or mail addresses as text or a "
        "list, but 1 was found",
        "config.json:1:118: task_notify.email: email must be true, false, or mail addresses as text or a list, "
        'but {"to": "a@example.org"} was found',
    ]
    assert "task_notify must be a list" in messages(task(task_notify={"triggers": ["timeout"]}))[0]


def test_empty_notify_is_none() -> None:
    assert validate_task({**SOUND, "task_notify": {}})["task_notify"] == []


def test_api_gets_paths_without_position() -> None:
    with pytest.raises(ConfigError) as caught:
        validate_task({**SOUND, "task_retry": 2**31, "task_priority": 101})

    assert [str(problem) for problem in caught.value.problems] == [
        f"task_retry: task_retry must be a whole number from 0 to 100, but {2**31} was found",
        "task_priority: task_priority must be a whole number from -100 to 100, but 101 was found",
    ]


def test_partial_task_is_only_what_was_given() -> None:
    assert validate_task({"task_retry": 2.0, "task_max_parallel": 2}, partial=True) == {
        "task_retry": 2,
        "task_max_parallel": 2,
    }


@each_case("bad", [float("nan"), {1: 2}, {1}, "\ud800", "\0", b"x"])
def test_values_that_are_no_json_are_refused(bad: object) -> None:
    with pytest.raises(ConfigError):
        validate_task({**SOUND, "task_env": {"A": bad}})


def test_defaults_are_left_out_of_the_text() -> None:
    spec = validate_task({**SOUND, "task_name": "每天", "task_timeout": 5.0, "task_retry": 0})

    assert dump_config([spec]) == (
        '{\n  "$schema": "/api/scheduler/config/schema",\n  "version": 1,\n  "tasks": [\n    {\n'
        '      "task_id": "a",\n      "task_name": "每天",\n      "task_exec": "true",\n      "task_timeout": 5\n'
        "    }\n  ]\n}\n"
    )


def test_difference_names_the_fields() -> None:
    old, new = validate_task(SOUND), validate_task({**SOUND, "task_retry": 3})

    changes = diff_spec(old, new)

    assert [(change.field, change.old, change.new) for change in changes] == [("task_retry", 0, 3)]


def test_each_field_of_the_schema_is_explained() -> None:
    for definition in load_schema()["$defs"]:
        for field in task_fields(definition):
            assert field.title and field.description and field.allowed and field.examples, field.name
