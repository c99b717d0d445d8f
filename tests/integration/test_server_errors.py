"""When the server fails, the reader gets an id, and the log has it beside the traceback; no answer is kept."""

from __future__ import annotations

import logging
import re
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from schedsite.urls import handler500
from schedsite.urls import urlpatterns as site_urls
from tests.support.cases import each_case

assert handler500  # Django reads it from the module of the routes, which this one is here


def broken(_request: HttpRequest) -> HttpResponse:
    """Fail, as a page that has a fault."""
    raise RuntimeError("a page that breaks")


urlpatterns = [path("broken", broken), path("api/broken", broken), *site_urls]


@pytest.fixture
def reader(settings: Any) -> Client:
    """Return a client of a site that has pages with faults."""
    settings.ROOT_URLCONF = __name__
    return Client(raise_request_exception=False)


@pytest.fixture
def log() -> Any:
    """Return what the log of the site is written to, with its own formatter and filters."""
    stream = StringIO()
    configured = next(
        handler for handler in logging.getLogger().handlers if handler.__class__ is logging.StreamHandler
    )
    before = configured.setStream(stream)  # type: ignore[attr-defined]
    yield stream
    configured.setStream(before)  # type: ignore[attr-defined]


SENTENCES = {
    "en": r"The server hit an error, logged as error ([0-9a-f]{12})\.",
    "zh-hans": r"服务器出错。日志中的错误编号为 ([0-9a-f]{12})。",
}


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize(
    ("address", "headers", "content_type"),
    [
        ("/broken", {}, "text/html; charset=utf-8"),
        ("/broken", {"HX-Request": "true"}, "text/plain; charset=utf-8"),
        ("/api/broken", {}, "application/problem+json"),
    ],
    ids=["page", "part of a page", "api"],
)
@pytest.mark.django_db
def test_the_id_of_an_error_is_in_the_answer_and_in_the_log(
    address: str, headers: dict[str, str], content_type: str, language: str, reader: Client, log: StringIO
) -> None:
    answer = reader.get(address, headers={**headers, "Accept-Language": language})

    assert answer.status_code == 500 and answer["Content-Type"] == content_type
    text = answer.json()["detail"] if content_type.endswith("json") else answer.content.decode()
    found = re.search(SENTENCES[language], text)
    assert found is not None, text
    assert answer["X-Error-Id"] == found[1]
    assert f"ERROR django.request error {found[1]}: Internal Server Error: {address}\n" in log.getvalue()
    assert "RuntimeError: a page that breaks" in log.getvalue()
    assert "a page that breaks" not in answer.content.decode()


@pytest.mark.django_db
def test_a_problem_of_the_api_names_the_id(reader: Client) -> None:
    problem = reader.get("/api/broken").json()

    assert {**problem, "detail": "", "error_id": ""} == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "",
        "errors": [],
        "error_id": "",
    }
    assert len(problem["error_id"]) == 12


def test_an_error_needs_no_database_to_be_told(reader: Client) -> None:
    answer = reader.get("/broken")  # this test has none

    assert answer.status_code == 500 and b"error" in answer.content


@each_case(
    "address",
    [
        "/",
        "/admin/",
        "/admin/login/",
        "/admin/scheduler/task/",
        "/admin/auth/user/",
        "/admin/scheduler/export/",
        "/admin/nothing/",
        "/nothing",
        "/healthz",
        "/metrics",
        "/api/schema",
        "/api/docs",
        "/api/scheduler/tasks",
        "/api/scheduler/tasks/nothing",
        "/api/scheduler/config",
        "/broken",
    ],
)
@each_case("is_member", [True, False], ids=["member", "visitor"])
@pytest.mark.django_db
def test_no_answer_is_kept(address: str, is_member: bool, reader: Client) -> None:
    if is_member:
        reader.force_login(User.objects.create_superuser("ada", "", "a pass phrase"))

    answer = reader.get(address)

    assert "no-store" in answer["Cache-Control"]


def test_files_of_the_site_are_kept(client: Client) -> None:
    answer = client.get(f"{django_settings.STATIC_URL}scheduler/site.css")

    assert answer.status_code == 200
    assert "no-store" not in answer["Cache-Control"]
