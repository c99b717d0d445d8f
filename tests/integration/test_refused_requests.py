"""Requests that no browser sends: refused with a page of the site or a problem, alike on both databases, never a 500."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from scheduler.admin.base import SiteModelAdmin
from scheduler.models import ApiToken
from tests.hostile.client import Answer, send
from tests.hostile.requests import FORM, MULTIPART, Shot
from tests.hostile.world import World, make_world
from tests.support.pages import compact

LARGE = 2**63
TASKS, USERS = "/admin/scheduler/task/", "/admin/auth/user/"


@pytest.fixture
def world(db: None) -> Iterator[World]:
    """Return an installation with an account for each role; its connection is kept over requests."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield make_world()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def ask(world: World, path: str, *, role: str = "superuser", method: str = "GET", **parts: Any) -> Answer:
    """Return the answer to a request, which is no error of the server."""
    path, _, query = path.partition("?")
    answer = send(Shot(role, method, path, query, **parts), world.sessions, world.tokens)
    assert answer.status < 500, answer.error
    return answer


def is_page(answer: Answer, status: int, heading: str) -> bool:
    """Return whether an answer is a page of the site for an error."""
    return answer.status == status and f"<h1>{heading}</h1>" in compact(answer.body.decode())


NO_KEYS = ("abc", "1.5", "-1", "%2B", "_5F", str(LARGE), "9" * 40, "%EF%BC%97", "a/b", "...")
WITH_KEYS = (
    "scheduler/task/{}/history/",
    "scheduler/task/{}/change/",
    "scheduler/task/{}/delete/",
    "scheduler/task/{}/",
    "scheduler/apitoken/{}/delete/",
    "scheduler/run/{}/history/",
    "scheduler/execution/{}/change/",
    "notifications/notificationrule/{}/change/",
    "auth/user/{}/change/",
    "auth/user/{}/password/",
    "auth/group/{}/history/",
    "r/{}/1/",
)


def test_key_that_no_row_can_have_is_not_found(world: World) -> None:
    for path, key in itertools.product(WITH_KEYS, NO_KEYS):
        assert is_page(ask(world, "/admin/" + path.format(key)), 404, "Page not found"), (path, key)


def test_key_that_no_row_can_have_is_not_found_by_any_role(world: World) -> None:
    for role in ("staff", "viewer", "operator", "editor"):
        assert ask(world, f"{TASKS}abc/history/", role=role).status == 404
        assert ask(world, f"{TASKS}abc/change/", role=role).status == 404


def test_history_of_rows_that_one_may_not_see_is_forbidden_whether_they_are_there_or_not(
    world: World,
) -> None:
    for model in ("task", "run", "execution", "process", "apitoken"):
        for key in (world.keys[model], 987654321):
            answer = ask(world, f"/admin/scheduler/{model}/{key}/history/", role="staff")

            assert answer.status == 403, (model, key)


@pytest.mark.parametrize(
    ("query", "field"),
    [("env=abc", "env"), ("depends_on=abc", "depends_on"), (f"depends_on={LARGE}", "depends_on")],
)
def test_impossible_value_for_a_new_form_is_refused_by_name(world: World, query: str, field: str) -> None:
    answer = ask(world, f"{TASKS}add/?{query}")

    assert is_page(answer, 400, "Bad request")
    assert f"for “{field}”." in answer.body.decode()


def test_possible_value_for_a_new_form_is_in_it(world: World) -> None:
    answer = ask(world, f"{TASKS}add/?task_id=from-a-link&depends_on={world.keys['task']}")

    assert answer.status == 200 and 'value="from-a-link"' in answer.body.decode()


def test_chosen_rows_that_are_none_are_passed_over_by_every_list(world: World) -> None:
    counts = [rows.objects.count() for rows in (User, Group, ApiToken)]
    models, none = ("auth/user", "auth/group", "scheduler/apitoken"), ("abc", str(LARGE), "", "9" * 5000)

    for model, key in itertools.product(models, none):
        body = f"action=delete_selected&post=yes&index=0&_selected_action={key}".encode()
        answer = ask(world, f"/admin/{model}/", method="POST", body=body, content_type=FORM)

        assert answer.status in (200, 302), (model, key)
    assert [rows.objects.count() for rows in (User, Group, ApiToken)] == counts


IMPOSSIBLE = (
    "last_login__year=0",
    f"last_login__year={LARGE}",
    "last_login__date=x",
    "last_login__hour=99999999999999999999",
    "date_joined__gt=x",
    "id__in=abc",
    f"id={LARGE}",
    "groups__id__exact=abc",
    "is_staff__exact=7",
    "username__range=abc",
    "last_login__range=x",
    "_to_field=",
    "e=1",
)


def test_filter_with_an_impossible_value_leads_to_the_whole_list(world: World) -> None:
    for query in IMPOSSIBLE:
        answer = ask(world, f"{USERS}?{query}")

        assert (answer.status, answer.headers.get("Location")) in [(200, None), (302, f"{USERS}?e=1")], query


def test_regular_expression_in_a_filter_is_refused(world: World) -> None:
    lookups = ("username__regex", "username__iregex", "groups__name__regex", "last_login__regex")
    for lookup, value in itertools.product(lookups, ("[]", "a", "(")):
        answer = ask(world, f"{USERS}?{urlencode({lookup: value})}")

        assert is_page(answer, 400, "Bad request"), (lookup, value)


def test_relation_of_another_model_is_no_field_to_point_to(world: World) -> None:
    owner = User.objects.filter(is_superuser=True).values_list("pk", flat=True)[0]
    names = ("+", *(relation.name for relation in User._meta.related_objects))
    for name, page in itertools.product(names, ("add/", f"{owner}/change/")):
        answer = ask(world, f"{USERS}{page}?{urlencode({'_to_field': name})}")

        assert is_page(answer, 400, "Bad request"), (name, page)


def posted(body: bytes, content_type: str = FORM, **more: Any) -> dict[str, Any]:
    """Return the parts of a request that sends a form."""
    return {"method": "POST", "body": body, "content_type": content_type, **more}


FILE = b'--b\r\nContent-Disposition: form-data; name="f\0"; filename="a"\r\n\r\n{}\r\n--b--\r\n'
PLACES: dict[str, tuple[str, dict[str, Any], str]] = {
    "path": ("/admin/x%00", {}, "The path"),
    "query": (f"{TASKS}?q=%00", {}, "The query"),
    "name in the query": (f"{TASKS}?%00=1", {}, "The query"),
    "cookie": ("/admin/", {"cookies": 'theme="\\000"'}, "A cookie"),
    "cookie of the session": ("/admin/", {"cookies": 'sessionid="\\000"', "role": "nobody"}, "A cookie"),
    "cookie of the language": ("/admin/", {"cookies": 'django_language="\\000"'}, "A cookie"),
    "header": ("/admin/", {"headers": (("HTTP_REFERER", "http://localhost/\0"),)}, "A header"),
    "form": (TASKS, posted(b"action=%00"), "The form"),
    "form to log in": ("/admin/login/", posted(b"username=%00&password=x", role="nobody"), "The form"),
    "name of a file": (f"{TASKS}import/", posted(FILE, MULTIPART), "The form"),
}


def test_nul_character_is_refused_wherever_it_is(world: World) -> None:
    for place, (path, parts, words) in PLACES.items():
        answer = ask(world, path, **parts)

        assert is_page(answer, 400, "Bad request"), place
        assert f"{words} must not contain a NUL character." in answer.body.decode()


def test_nul_character_is_a_problem_of_the_api_that_names_the_parameter(world: World) -> None:
    told = b'"path": "version", "message": "The query must not contain a NUL character."'
    code = b'"code": "request_has_nul", "params": {"place": {"code": "the_query", "params": {}}}'
    for path in ("schema", "docs", "scheduler/tasks"):
        answer = ask(world, f"/api/{path}?version=%00")

        assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json"), path
        assert told in answer.body and code in answer.body


def test_path_of_the_api_that_is_none_is_a_problem_outside_of_the_scheduler_as_well(world: World) -> None:
    answer = ask(world, "/api/nothing")

    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


CHARSETS = ("latin-1", "utf-16", "base64", "rot13", "idna", "undefined", "no-such", "\xff", "x" * 3000)


@pytest.mark.parametrize("path", ["/admin/login/", TASKS, "/i18n/setlang/", "/api/schema", "/healthz"])
def test_other_encoding_than_utf_8_is_refused(world: World, path: str) -> None:
    for method, kind, charset in itertools.product(
        ("GET", "POST"), (FORM, MULTIPART, "text/plain"), CHARSETS
    ):
        content_type = f"{kind}; charset={charset}"
        answer = ask(world, f"{path}?a=b", method=method, body=b"a=b", content_type=content_type)

        assert answer.status == 400, (method, content_type)
        assert "The encoding must be UTF-8, but " in answer.body.decode()


def test_utf_8_by_its_names_is_taken(world: World) -> None:
    for charset in ("utf-8", "UTF8", '"utf-8"'):
        parts = posted(b"language=en", f"{FORM}; charset={charset}")

        assert ask(world, "/i18n/setlang/", **parts).status == 302


def test_form_with_a_name_in_an_unknown_encoding_is_no_error_of_the_server(world: World) -> None:
    for encoding in ("rot13", "base64", "no-such"):
        head = f"--b\r\nContent-Disposition: form-data; name*={encoding}''abc"
        ask(world, TASKS, **posted(f"{head}\r\n\r\nx\r\n--b--\r\n".encode(), MULTIPART))


def test_form_with_a_length_that_no_body_has_is_refused(world: World) -> None:
    parts = posted(FILE, MULTIPART) | {"headers": (("CONTENT_LENGTH", "9" * 20),)}

    assert is_page(ask(world, TASKS, **parts), 400, "Bad request")


def test_chosen_upstream_that_is_none_is_refused_by_the_form(world: World) -> None:
    for key in ("email", "-1", "1.5", "%EF%BC%97", str(LARGE), "9" * 40, "987654321"):
        body = f"task_id=new&name=New&command=true&depends_on={key}".encode()

        assert ask(world, f"{TASKS}add/", **posted(body)).status == 200, key


def test_more_parameters_than_a_form_may_have_are_refused(world: World) -> None:
    many = "a&" * 25_001
    for path, kind in itertools.product(
        ("/admin/", "/api/schema", "/healthz"), ("", f"{FORM}; charset=utf-8")
    ):
        assert ask(world, f"{path}?{many}", content_type=kind).status == 400, (path, kind)


def test_refusal_is_in_the_language_of_its_reader(world: World) -> None:
    answer = ask(world, "/admin/x%00", headers=(("HTTP_ACCEPT_LANGUAGE", "zh-hans"),))
    after = ask(world, "/admin/x%00")

    assert "路径中不得含有 NUL 字符" in answer.body.decode()
    assert "The path must not" in after.body.decode()


def test_every_model_has_the_checks_of_the_site() -> None:
    assert [one for one in admin.site._registry.values() if not isinstance(one, SiteModelAdmin)] == []
