"""What holds of every route, walked from the resolver: a login first, a permission, and no form from another site."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from tests.hostile.client import Answer, send
from tests.hostile.requests import FORM, Shot, path_of
from tests.hostile.routes import Route, routes
from tests.hostile.world import World, make_world

#: For everybody: the answer to a GET of nobody. The metrics are open to this host, from which the requests come.
OPEN = {
    "admin/login/": 200,
    "healthz": 200,
    "metrics": 200,
    "i18n/setlang/": 302,
    "": 302,
    "admin/logout/": 302,
}
#: For everybody who is logged in, with or without a role.
FOR_MEMBERS = {"admin/", "admin/password_change/", "admin/password_change/done/", "admin/search/", "admin/jsi18n/", "api/docs", "api/schema", "admin/scheduler/apitoken/sessions/",
    "admin/scheduler/apitoken/sessions/end/", "admin/scheduler/task/overview/"}  # fmt: skip
LOGIN = "/admin/login/"


@pytest.fixture
def world(db: None, settings: Any) -> Iterator[World]:
    """Return an installation with an account for each role; its connection is kept over requests."""
    settings.SCHEDULER_LEASE = 86_400
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield make_world()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def ask(world: World, role: str, route: Route, method: str = "GET", **parts: Any) -> Answer:
    """Return the answer of the row that there is."""
    shot = Shot(role, method, path_of(route, world.keys), **parts)
    return send(shot, world.sessions, world.tokens)


def is_for_members(answer: Answer, route: Route) -> bool:
    """Return whether an answer says only that its reader is not logged in, or that nothing is done by this method."""
    if route.is_api:
        return answer.status in (401, 403, 404)
    leads_to_login = answer.status == 302 and answer.headers["Location"].startswith(LOGIN)
    return leads_to_login or answer.status in (404, 405)


@pytest.mark.proves("G18")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_sees_or_does_anything_without_a_login(world: World, method: str) -> None:
    found = [route for route in routes() if route.pattern not in OPEN]

    open_to_all = [
        f"{route.pattern}: {answer.status}"
        for route in found
        if not is_for_members(answer := ask(world, "nobody", route, method), route)
    ]

    assert open_to_all == []


@pytest.mark.proves("G18")
def test_what_is_open_to_everybody_is_known(world: World) -> None:
    known = {route.pattern: ask(world, "nobody", route).status for route in routes() if route.pattern in OPEN}

    assert known == OPEN


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_account_without_a_role_sees_and_does_nothing(world: World, method: str) -> None:
    found = [route for route in routes() if route.pattern not in FOR_MEMBERS | OPEN.keys()]

    let_in = [
        f"{route.pattern}: {answer.status} {answer.headers.get('Location', '')}"
        for route in found
        if (answer := ask(world, "staff", route, method)).status not in (403, 404, 405)
        and not answer.headers.get("Location", "").endswith(
            "/change/"
        )  # the address without a verb leads there
    ]

    assert not let_in, let_in


def test_no_form_is_taken_from_another_site(world: World) -> None:
    parts = {"body": b"enabled=1", "content_type": FORM, "headers": (("HTTP_X_CSRFTOKEN", ""),)}

    taken = [
        f"{route.pattern}: {answer.status}"
        for route in routes()
        if route.pattern not in ("healthz", "")
        and (answer := ask(world, "superuser", route, "POST", **parts)).status not in (403, 404, 405, 415)
    ]

    assert taken == []


def test_no_request_of_the_api_by_a_session_is_taken_from_another_site(world: World) -> None:
    shot = Shot(
        "superuser",
        "POST",
        "",
        body=b"{}",
        content_type="application/json",
        headers=(("HTTP_X_CSRFTOKEN", ""),),
    )

    taken = [
        f"{route.pattern}: {answer.status}"
        for route in routes()
        if route.is_api
        for answer in [send(replace(shot, path=path_of(route, world.keys)), world.sessions, world.tokens)]
        if answer.status not in (403, 404, 405)
    ]

    assert taken == []
