"""Every string people see has its Chinese."""

from __future__ import annotations

import gettext
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import translation

from scheduler.models import ExecutionLog
from scheduler.services.accounts import make_roles
from scheduler.wording.times import axis_duration
from tests import site_pages
from tests.conftest import is_required
from tests.simulation import Engine, F, S
from tests.support.pages import FORM

CATALOGUE = Path("schedsite/locale/zh_Hans/LC_MESSAGES/django.po")
ROOTS = ("scheduler", "notifications", "schedsite", "templates")


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    """Return a copy of what holds strings, so that nothing is written among the sources."""
    if shutil.which("xgettext") is None:
        if is_required("xgettext"):
            pytest.fail("xgettext is missing")
        pytest.skip("xgettext is missing: install gettext")
    copy = tmp_path / "copy"
    for name in ROOTS:
        if (project.BASE_DIR / name).is_dir():
            shutil.copytree(
                project.BASE_DIR / name, copy / name, ignore=shutil.ignore_patterns("__pycache__")
            )
    monkeypatch.chdir(copy)
    settings.LOCALE_PATHS = [copy / "schedsite" / "locale"]
    return copy


def test_makemessages_leaves_nothing_untranslated_or_fuzzy(sources: Path) -> None:
    call_command("makemessages", locale=["zh_Hans"], no_wrap=True, no_location=True, verbosity=0)

    for flag in ("--untranslated", "--only-fuzzy"):
        command = ["msgattrib", flag, "--no-obsolete", "--no-wrap", str(sources / CATALOGUE)]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert [
            line for line in found.splitlines() if line.startswith('msgid "') and line != 'msgid ""'
        ] == []


def test_the_compiled_catalogue_is_that_of_the_text(sources: Path) -> None:
    fresh = sources / "fresh.mo"
    subprocess.run(["msgfmt", "--check-format", "-o", fresh, sources / CATALOGUE], check=True)

    def entries(path: Path) -> dict[Any, str]:
        with path.open("rb") as file:
            catalogue: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        return {key: text for key, text in catalogue.items() if key}

    assert entries(fresh) == entries(sources / CATALOGUE.with_suffix(".mo"))


def test_the_site_speaks_the_language_that_was_chosen(admin_client: Client, make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")

    admin_client.post(reverse("set_language"), {"language": "zh-hans"})
    page = admin_client.get(reverse("admin:scheduler_task_changelist")).content.decode()

    assert "立即运行" in page and "Run now" not in page


TAGS = re.compile(r"\{#.*?#\}|\{% blocktrans.*?endblocktrans(?:late)? %\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
SPOKEN = re.compile(r"(?:aria-label|title|placeholder|alt|data-confirm|data-yes)=\"([^\"]*)\"")
WORD = re.compile(r"[A-Za-z]{2,}")
NAMES = {
    "Python",
    "config",
    "json",
    "python",
    "manage",
    "py",
    "seed_demo",
    "seed",
    "demo",
    "API",
    "Schedsite",
}
SYMBOLS = re.compile(r"<span\s+class=\"material-symbols-outlined[^\"]*\".*?</span>", re.DOTALL)
EXAMPLES = re.compile(
    r"[\w./-]+(?:@|://)[\w./-]+|X-Team|errcode"
)  # addresses and names, alike in all languages
CODE = re.compile(r"<(code|script|style)\b.*?</\1>|<!--.*?-->|&[a-z]+;", re.DOTALL)


def test_templates_say_nothing_that_is_not_marked_for_translation() -> None:
    found = {}
    folders = (project.BASE_DIR / "templates", project.BASE_DIR / "notifications" / "channels")
    for path in sorted(path for folder in folders for path in folder.glob("**/*.html")):
        plain = SYMBOLS.sub("", CODE.sub("", TAGS.sub("", path.read_text())))
        words = {
            *WORD.findall(re.sub(r"<[^>]*>", " ", plain)),
            *WORD.findall(EXAMPLES.sub("", " ".join(SPOKEN.findall(plain)))),
        }
        if words - NAMES:
            found[str(path)] = words - NAMES

    assert found == {}


def test_scripts_of_pages_have_no_words_of_their_own() -> None:
    sentence = re.compile(r"[\"'`]([A-Z][a-z]+(?: [a-z]+)+)")

    assert {
        path.name: sentences
        for path in (project.BASE_DIR / "scheduler" / "static").glob("**/*.js")
        if (sentences := sentence.findall(path.read_text()))
    } == {}


@pytest.fixture
def chinese(admin_client: Client) -> Client:
    admin_client.post(reverse("set_language"), {"language": "zh-hans"})
    return admin_client


def test_the_form_of_a_task_refuses_in_the_language_that_was_chosen(chinese: Client) -> None:
    form = {**FORM, "schedule": "61 * * * *"}

    page = html.unescape(chinese.post(reverse("admin:scheduler_task_add"), form).content.decode())

    assert '调度表达式 "61 * * * *" 的分字段为 "61"；允许的是 0 至 59' in page


def test_the_form_of_a_task_names_fields_by_their_labels(chinese: Client, admin_client: Client) -> None:
    form = {**FORM, "timeout": "-5", "tags": "good, a b"}

    page = html.unescape(chinese.post(reverse("admin:scheduler_task_add"), form).content.decode())

    assert "超时 必须是大于 0 且不超过 31536000 的数字，或空，但实际为 -5" in page
    assert '标签 #2 必须是 1 到 50 个字符、不含空格和逗号的文本，但实际为 "a b"' in page
    assert "task_timeout" not in page and "task_tags" not in page


def test_a_new_task_names_fields_by_their_labels(admin_client: Client) -> None:
    form = {"kind": "shell", "task_id": "a", "name": "A", "timeout": "-5"}

    page = html.unescape(admin_client.post(reverse("admin:scheduler_task_new"), form).content.decode())

    assert "Timeout must be a number above 0 up to 31536000 or empty, but -5 was found" in page


def test_an_import_is_refused_in_the_language_that_was_chosen(chinese: Client) -> None:
    text = '[{"task_id": "a", "task_name": "A", "task_exec": "true", "task_timout": 5}]'

    page = html.unescape(chinese.post(reverse("admin:scheduler_import"), {"text": text}).content.decode())

    assert '未知字段 "task_timout"；是否想写“task_timeout”？' in page


def test_pages_give_reasons_in_the_language_that_was_chosen(chinese: Client, make_task: Any) -> None:
    engine = Engine(make_task)
    engine.task("a")
    engine.task("b", "a")
    execution = engine.start("a")
    engine.end(a=F)
    skipped = engine.latest("b")

    page = chinese.get(reverse("admin:scheduler_execution_change", args=[skipped.pk])).content.decode()

    assert f"上游 a 的结果为“技术失败”（执行 {execution.pk}）" in page
    task_page = chinese.get(reverse("admin:scheduler_task_page", args=[skipped.task_id])).content.decode()
    told = re.sub(r"<[^>]*>", "", task_page)  # the execution is a link
    assert f"上游 a 的结果为“技术失败”（执行 {execution.pk}）" in told


def test_pages_of_processes_tokens_and_histories_are_told_in_chinese(chinese: Client, make_task: Any) -> None:
    engine = Engine(make_task)
    engine.task("a")
    execution = engine.start("a")
    keys = site_pages.keys()

    pages = {
        name: chinese.get(reverse(f"admin:{name}", args=args)).content.decode()
        for name, args in {
            "scheduler_process_changelist": [],
            "scheduler_process_change": [keys["process"]],
            "scheduler_apitoken_changelist": [],
            "scheduler_execution_history": [execution.pk],
            "scheduler_run_history": [execution.run_id],
        }.items()
    }

    told = "".join(pages.values())
    for english in ("Heartbeat at", "Start ticks", "Identity of", "Start of the process", "User", "Slots"):
        assert f">{english}" not in told and f"{english}<" not in told, english
    assert f"执行 {execution.pk}" in pages["scheduler_execution_history"]
    assert f"运行 {execution.run_id}" in pages["scheduler_run_history"]


def test_roles_are_named_in_the_language_that_was_chosen_and_deleting_one_lists_no_links(
    chinese: Client, admin_user: Any
) -> None:
    make_roles()
    role = Group.objects.get(name="Operator")
    own = Group.objects.create(name="Night shift")
    admin_user.groups.add(role)

    roles = chinese.get(reverse("admin:auth_group_changelist")).content.decode()
    user = chinese.get(reverse("admin:auth_user_change", args=[admin_user.pk])).content.decode()
    question = chinese.get(reverse("admin:auth_group_delete", args=[role.pk])).content.decode()

    assert all(name in roles and name in user for name in ("管理员", "操作员", "查看者", own.name))
    assert "object (" not in question and "relationship" not in question
    assert "Raw passwords" not in user


def test_the_lists_of_permissions_are_worked_in_chinese(chinese: Client) -> None:
    catalogue = json.loads(
        chinese.get(reverse("admin:jsi18n")).content.decode().split("newcatalog = ")[1].split(";\n")[0]
    )

    assert catalogue["Remove all %s"] == "移除全部%s"
    assert catalogue["(click to clear)"] == "（点击清除）"


def test_axes_name_durations_in_chinese() -> None:
    with translation.override("zh-hans"):
        assert [axis_duration(seconds) for seconds in (0.5, 90, 5400)] == ["0.5秒", "1.5分", "1时30"]


def test_a_log_on_a_page_says_in_chinese_what_was_left_out(chinese: Client, make_task: Any) -> None:
    engine = Engine(make_task)
    engine.task("a")
    execution = engine.start("a")
    engine.end(a=S)
    ExecutionLog.objects.create(execution=execution, offset=0, size=5, text="head\n")
    ExecutionLog.objects.create(execution=execution, offset=15, size=5, text="tail\n")

    page = chinese.get(reverse("admin:scheduler_execution_change", args=[execution.pk])).content.decode()
    log = reverse("admin:scheduler_execution_log", args=[execution.pk])
    part = chinese.get(log, {"offset": "0"}).content.decode()
    pane = chinese.get(reverse("admin:scheduler_execution_log_pane", args=[execution.pk])).content.decode()

    assert all("[… 略去 10 字节 …]" in text for text in (page, part, pane))


def test_titles_of_the_admin_have_no_spaces_within_chinese_words(
    admin_client: Client, django_user_model: Any
) -> None:
    user = django_user_model.objects.create_user("bob")
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-hans"
    expected = {
        reverse("admin:auth_user_changelist"): "用户",
        reverse("admin:auth_user_add"): "新增用户",
        reverse("admin:auth_group_add"): "新增组",
        reverse("admin:auth_user_change", args=[user.pk]): "bob | 修改用户",
        reverse("admin:auth_user_history", args=[user.pk]): "变更历史：bob",
        reverse("admin:scheduler_auditevent_changelist"): "审计事件",
    }

    found = {}
    for url in expected:
        title = re.search(r"<title>(.*?)</title>", admin_client.get(url).content.decode(), re.DOTALL)
        found[url] = "" if title is None else " ".join(title[1].split()).removesuffix(" | Schedsite")

    assert found == expected


def test_permissions_are_said_in_chinese(admin_client: Client) -> None:
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-hans"

    page = admin_client.get(reverse("admin:auth_group_add")).content.decode()
    options = [" ".join(text.split()) for text in re.findall(r"<option value=\"\d+\"[^>]*>([^<]*)", page)]

    assert {"调度器 | 可运行、取消、恢复和暂停任务", "认证和授权 | 可新增用户"} <= set(options)
    assert [text for text in options if re.search("Can |[a-z]{4,}", text)] == []
