"""Reasons are values: each code has words in both languages, somebody gives it, and nobody reads the words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.utils import translation
from django.utils.translation import gettext

from scheduler.engine.explanations import Code as Said
from scheduler.engine.reasons import (
    Code,
    Plural,
    Reason,
    registered_codes,
    stored_reason,
    template_of,
)
from scheduler.engine.times import iso
from scheduler.wording.reasons import told, told_linked
from tests.support.cases import each_case

ROOT = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"%\((\w+)\)s")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
AT = datetime(2026, 11, 25, 2, 0, 30, tzinfo=UTC)


def templates() -> Iterator[tuple[str, str]]:
    """Yield each template with the name of its code."""
    for code in registered_codes():
        template = template_of(code)
        texts = (template.one, template.many) if isinstance(template, Plural) else (template,)
        yield from ((str(code), text) for text in texts)


def sources() -> dict[str, str]:
    paths = [
        path for app in ("scheduler", "notifications", "schedsite") for path in (ROOT / app).rglob("*.py")
    ]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def test_every_code_has_a_template() -> None:
    codes = set(registered_codes())

    assert [code for code in Code if code not in codes] == []


def test_every_template_has_a_chinese_one_with_the_same_places() -> None:
    wrong = []
    for code, text in templates():
        with translation.override("zh-hans"):
            chinese = gettext(text)
        is_told = CHINESE.search(chinese) or text == "null" or not re.search("[a-z]", PLACE.sub("", text))
        if not is_told or set(PLACE.findall(text)) != set(PLACE.findall(chinese)):
            wrong.append(f"{code}: {text!r} / {chinese!r}")

    assert wrong == []


def test_both_templates_of_a_plural_have_the_same_places_but_the_number() -> None:
    plurals = [template for code in registered_codes() if isinstance(template := template_of(code), Plural)]

    for plural in plurals:
        assert set(PLACE.findall(plural.many)) - {"number"} == set(PLACE.findall(plural.one)), plural


def test_every_code_is_given_by_some_code_path() -> None:
    text = "".join(source for source in sources().values() if "\nTEMPLATES: " not in source)

    given = set(re.findall(r"\b(?:\w*Code|Refusal|Said)\.(\w+)", text))

    assert [code for code in registered_codes() if code.name not in given] == []


def test_codes_are_words_of_their_own_names() -> None:
    assert [code for code in registered_codes() if code.value != code.name.lower()] == []


@each_case(
    ("reason", "english", "chinese"),
    [
        (
            Reason(
                Code.UPSTREAM_ENDED, {"task": "nightly_load", "status": "technical_failure", "execution": 812}
            ),
            "upstream nightly_load ended in technical failure, execution 812",
            "上游 nightly_load 的结果为“技术失败”（执行 812）",
        ),
        (
            Reason(Code.PROCESS_KILLED_BY_SIGNAL, {"exit_code": 137, "signal": "SIGKILL"}),
            "exit code 137: a process of the command was killed by SIGKILL",
            "退出码 137：命令的某个进程被 SIGKILL 终止",
        ),
        (
            Reason(Code.COULD_NOT_START, {"why": Reason(Code.PYTHON_MISSING, {"path": "/srv/a"})}),
            "could not start: task_python is /srv/a, which does not exist",
            "无法启动：task_python 指向 /srv/a，该路径不存在",
        ),
        (Reason(Code.OTHER, {"text": "550 mailbox %(x)s"}), "550 mailbox %(x)s", "550 mailbox %(x)s"),
    ],
)
def test_a_reason_is_told_in_the_language_of_the_reader(reason: Reason, english: str, chinese: str) -> None:
    with translation.override("en"):
        assert told(reason) == english
    with translation.override("zh-hans"):
        assert told(reason) == chinese


def test_the_stored_text_is_english_and_names_statuses_as_they_are_stored() -> None:
    reason = Reason(Code.UPSTREAM_ENDED, {"task": "a", "status": "technical_failure", "execution": 8})

    with translation.override("zh-hans"):
        assert str(reason) == "upstream a ended technical_failure, execution 8"


def test_instants_numbers_and_lists_have_their_forms() -> None:
    until = {"execution": 1, "attempt": 2, "until": iso(AT), "zone": "Asia/Shanghai"}
    late = {"number": 1, "late": 90, "grace": 60.0, "policy": "skip"}

    assert "waits until 2026-11-25 10:00:30 CST" in str(Reason(Code.RETRY_WAITING, until))
    assert "last success 2026-11-25 02:00:30 UTC" in str(
        Reason(Code.WAITS_FOR_NEWER_SUCCESS, {"task": "a", "succeeded_at": iso(AT)})
    )
    assert str(Reason(Code.SLOTS_LATE, late)).startswith(
        "1 slot was found at least 1 min 30 s late, more than the grace of 1 min"
    )
    assert str(Reason(Code.NO_UPSTREAM_FAILED, {"tasks": ["a", "b"]})) == "no upstream failed: a, b"


def test_what_was_stored_is_the_same_reason_again() -> None:
    inner = Reason(Code.PYTHON_MISSING, {"path": "/srv/a"})
    reason = Reason(Code.COULD_NOT_START, {"why": inner})

    assert reason.params_json() == {"why": {"code": "python_missing", "params": {"path": "/srv/a"}}}
    assert stored_reason(reason.code.value, reason.params_json()) == reason


@each_case("code", [None, "", "of_a_later_version"])
def test_an_unknown_code_is_no_reason(code: str | None) -> None:
    assert stored_reason(code, {"a": 1}) is None


def patterns(source: str) -> Iterator[str]:
    """Yield the texts that a module gives to `re` as patterns."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            yield from (
                part.value
                for part in ast.walk(node)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )


def test_no_pattern_has_words_of_a_template() -> None:
    texts = [text for _code, text in templates()]
    found = [
        f"{path}: {words}"
        for path, source in sources().items()
        for pattern in patterns(source)
        for words in re.findall(r"[A-Za-z]+(?: [A-Za-z]+)+", pattern)
        if any(words in text for text in texts)
    ]

    assert found == []


def test_no_module_makes_patterns_of_templates() -> None:
    makes = [
        path
        for path, source in sources().items()
        if "re.escape(" in source and re.search(r"\b(TEMPLATES|template_of|gettext\w*|render)\b", source)
    ]

    assert makes == []


def test_links_are_made_of_values_and_what_others_said_is_escaped() -> None:
    reason = Reason(
        Said.LAST_SKIPPED,
        {
            "execution": 7,
            "at": iso(AT),
            "zone": "UTC",
            "why": Reason(Code.OTHER, {"text": "<b> execution 9"}),
        },
    )

    html = told_linked(reason, lambda name, value: f"/e/{value}" if name == "execution" else None)

    assert '(execution <a class="s-link" href="/e/7">7</a>)' in html
    assert "&lt;b&gt; execution 9" in html and html.count("<a ") == 1
