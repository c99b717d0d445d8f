"""A client of the API with a token, and users with roles."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from scheduler.services.accounts import make_roles

API = "/api/scheduler"


class TokenClient:
    """Speaks JSON with a token."""

    def __init__(self, token: str) -> None:
        self.client = Client()
        self.headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, str | bytes) else "" if body is None else json.dumps(body)
        url = path if path.startswith("/") else f"{API}/{path}"
        return self.client.generic(
            method, url, data, content_type="application/json", headers={**self.headers, **headers}
        )

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, body)


def user_of(role: str) -> User:
    make_roles()
    user = User.objects.create_user(f"a-{role.lower()}")
    user.groups.add(Group.objects.get(name=role))
    return user


def errors_of(response: Any) -> list[tuple[str, str]]:
    """Return path and message of each error of a problem document; each has a code of its own."""
    assert response["Content-Type"] == "application/problem+json", response.content
    body = response.json()
    assert set(body) >= {"type", "title", "status", "detail", "errors"}
    assert body["status"] == response.status_code
    fields = {"path", "message", "found", "allowed", "code", "params"}
    assert all(set(error) == fields for error in body["errors"])
    assert [error for error in body["errors"] if error["code"] == "other"] == []
    return [(error["path"], error["message"]) for error in body["errors"]]
