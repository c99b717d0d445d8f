"""Pages of the site as tests ask for them: who reads them, what is sent, what is shown."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from scheduler.services.accounts import make_roles

HTMX = {"HX-Request": "true"}
NASTY = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
#: The form of a task as a browser sends it.
FORM = {
    "task_id": "b",
    "name": "B",
    "description": "",
    "command": "true",
    "schedule": "",
    "timezone": "",
    "enabled": "on",
    "timeout": "",
    "retry": "0",
    "retry_interval": "60",
    "retry_backoff": "1",
    "env_name": [""],
    "env_value": [""],
    "rules_shown": "1",
    "tags": "",
    "queue": "",
    "priority": "0",
    "concurrency": "skip",
    "max_parallel": "",
    "misfire_policy": "run_once",
    "misfire_grace": "60",
    "trigger_rule": "all_success",
    "deadline": "",
    "history_days": "",
}


def member(role: str) -> Client:
    """Return a client of a person with one of the roles."""
    make_roles()
    user = User.objects.create_user(role.lower(), password="pw", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def text_of(response: Any) -> str:
    return str(response.content.decode())


def compact(html: Any) -> str:
    """Return HTML (a text, or a response with one) without the white space of its templates: one space in tags, none beside them."""
    tag = re.compile(r"\s*(</?[a-z][^<>]*?)\s*(/?>)\s*", re.IGNORECASE)
    return tag.sub(r"\1\2", re.sub(r"\s+", " ", html if isinstance(html, str) else text_of(html)))


def part_url(html: str, name: str) -> str:
    """Return the address from which a part of a page refreshes itself."""
    found = re.search(rf'id="{name}"\s+hx-get="([^"]+)"', html)
    assert found
    return found[1].replace("&amp;", "&")


def shown_form(html: str) -> dict[str, list[str]]:
    """Return what a browser would send of the rules of a page."""
    found: dict[str, list[str]] = {}
    html = re.sub(r"<template>.*?</template>", "", html, flags=re.DOTALL)
    for tag in re.findall(r"<input[^>]*>", html):
        values = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if re.search(r'type="(checkbox|radio)"', tag) and "checked" not in tag:
            continue
        if "name" in values:
            found.setdefault(values["name"], []).append(values.get("value", "on"))
    for name, text in re.findall(r'<textarea[^>]*name="([^"]*)"[^>]*>(.*?)</textarea>', html, re.DOTALL):
        found.setdefault(name, []).append(text.removeprefix("\n"))  # as browsers do
    for name, options in re.findall(r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', html, re.DOTALL):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        if chosen:
            found.setdefault(name, []).append(chosen[1] or chosen[2])
    return found
