"""The requests of a seed: each route with each kind of fault, then mixtures of them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

from django.apps import apps

from tests.hostile import values
from tests.hostile.routes import Route

ROOT = Path(__file__).resolve().parents[2]
READS = re.compile(r'(?:GET|POST)\.(?:get|getlist)\("(\w+)"|\(request, "(\w+)"')
FORM, MULTIPART, JSON = (
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "application/json",
)
ROLES = ("nobody", "viewer", "operator", "editor", "admin", "superuser", "staff")
TOO_LONG = 6 * 1024 * 1024 + 1  # bytes; one more than a body may have


@dataclass(frozen=True)
class Shot:
    """One request; `path` and `query` are quoted, as on the wire."""

    role: str
    method: str
    path: str
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    cookies: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    with_token: bool = False
    route: str = field(default="", compare=False)

    def told(self) -> str:
        """Return it in one line, from which it can be sent again by hand; long parts are cut."""
        parts = {
            "as": self.role + ("'s token" if self.with_token else ""),
            "type": self.content_type,
            "body": _cut(repr(self.body)) if self.body else "",
            "cookies": _cut(self.cookies),
            "headers": _cut(repr(dict(self.headers))) if self.headers else "",
        }
        query = f"?{self.query}" if self.query else ""
        words = " ".join(f"{name}={value}" for name, value in parts.items() if value)
        return f"{self.method[:20]} {_cut(self.path + query)} {words}"


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:120]}…({len(text)})…{text[-40:]}"


def quoted(text: str) -> str:
    """Return a text as it stands in an address; halves of surrogate pairs as the bytes that a careless client sends."""
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="")


def parameters() -> list[str]:
    """Return the names of all parameters that the sources read and that the admin knows."""
    found: set[str] = set(values.OF_THE_ADMIN)
    for folder in ("scheduler", "notifications", "schedsite"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for names in READS.findall(path.read_text(encoding="utf-8")):
                found.update(name for name in names if name)
    return sorted(found)


def lookups() -> list[str]:
    """Return the names of fields of all models, alone, with lookups and over one relation."""
    found: list[str] = []
    for app in ("auth", "scheduler", "notifications"):
        for model in apps.get_app_config(app).get_models():
            for one in model._meta.get_fields():
                found.append(one.name)
                if one.related_model is not None and not isinstance(one.related_model, str):
                    found += [f"{one.name}__{inner.name}" for inner in one.related_model._meta.get_fields()]
    return sorted(set(found))


def path_of(route: Route, keys: Mapping[str, Any], bad: str | None = None) -> str:
    """Return the path of a route to the row that there is, or with `bad` for all its parameters."""
    path = route.template
    for name in route.parameters:
        key = {"task_id": "task_id", "content_type_id": "contenttype"}.get(name, route.model)
        path = path.replace(f"{{{name}}}", bad if bad is not None else str(keys.get(key, 0)))
    return path


class Fields(HTMLParser):
    """Collects the names and values of the fields of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Note a field."""
        given: Mapping[str, Any] = dict(attrs)
        if tag in ("input", "select", "textarea", "button") and given.get("name"):
            self.found.setdefault(given["name"], given.get("value") or "")


class Maker:
    """Makes the requests of one seed.

    Args:
        keys: model -> primary key of a row, and ``task_id`` -> id of a task.
        forms: pattern of a route -> names and values of the fields of its page.
    """

    def __init__(self, seed: int, keys: Mapping[str, Any], forms: Mapping[str, Mapping[str, str]]) -> None:
        self.seed, self.keys, self.forms = seed, keys, forms
        self.names, self.lookups = parameters(), lookups()

    def shots(self, routes: Sequence[Route], count: int) -> Iterator[Shot]:
        """Yield `count` requests for each route; the same for the same seed, whatever the other routes are."""
        for route in routes:
            chance = random.Random(f"{self.seed} {route.pattern}")
            for number in range(count):
                yield replace(self._one(route, number, chance), route=route.pattern)

    def _one(self, route: Route, number: int, chance: random.Random) -> Shot:
        """Return the next request for a route: first each role, then one kind of fault after the other, then mixtures."""
        plain = Shot(
            "superuser", "GET", path_of(route, self.keys), with_token=route.is_api and number % 3 > 0
        )
        if number < len(ROLES):
            return replace(plain, role=ROLES[number])
        kinds = (
            self._key,
            self._query,
            self._method,
            self._form,
            self._body,
            self._cookie,
            self._header,
            self._lookup,
        )
        shot = kinds[number % len(kinds)](plain, route, chance)
        if number >= 3 * len(kinds) and chance.random() < 0.5:
            shot = kinds[chance.randrange(len(kinds))](shot, route, chance)
        if number >= 3 * len(kinds) and chance.random() < 0.3:
            shot = replace(shot, role=chance.choice(ROLES))
        return shot

    def _key(self, shot: Shot, route: Route, chance: random.Random) -> Shot:
        bad = chance.choice(values.KEYS)
        if route.parameters:
            return replace(shot, path=path_of(route, self.keys, quoted(bad)))
        return (
            replace(shot, path=shot.path + quoted(bad))
            if chance.random() < 0.3
            else self._query(shot, route, chance)
        )

    def _query(self, shot: Shot, _route: Route, chance: random.Random) -> Shot:
        known = [*self.forms.get(_route.pattern, ()), *self.names]
        pairs = [
            f"{quoted(chance.choice(known))}={quoted(chance.choice(values.TEXTS))}"
            for _ in range(chance.choice((1, 1, 2, 4)))
        ]
        return replace(shot, query="&".join(pairs))

    def _lookup(self, shot: Shot, route: Route, chance: random.Random) -> Shot:
        name = chance.choice(self.lookups)
        if chance.random() < 0.7 and route.model:
            models = {m._meta.model_name: m for app in apps.get_app_configs() for m in app.get_models()}
            name = chance.choice([one.name for one in models[route.model]._meta.get_fields()])
        lookup = "__".join([name, *chance.choices(values.LOOKUPS, k=chance.choice((0, 1, 1, 2)))])
        return replace(shot, query=f"{lookup}={quoted(chance.choice(values.TEXTS))}")

    def _method(self, shot: Shot, _route: Route, chance: random.Random) -> Shot:
        return replace(shot, method=chance.choice(values.METHODS))

    def _form(self, shot: Shot, route: Route, chance: random.Random) -> Shot:
        """Return the form of the page with some values exchanged, or a body that is no form."""
        known = dict(self.forms.get(route.pattern, {}))
        if not known or chance.random() < 0.3:
            return replace(shot, method="POST", body=chance.choice(values.FORM_BODIES), content_type=FORM)
        for name in chance.sample(sorted(known), k=min(len(known), chance.choice((1, 1, 2, 3)))):
            known[name] = chance.choice(values.TEXTS)
        if chance.random() < 0.2:
            known["_selected_action"] = chance.choice(values.KEYS)
        body = urlencode({k: v.encode("utf-8", "surrogatepass") for k, v in known.items()}).encode()
        return replace(shot, method="POST", body=body, content_type=FORM)

    def _body(self, shot: Shot, route: Route, chance: random.Random) -> Shot:
        method = chance.choice(("POST", "POST", "PUT", "PATCH", "DELETE"))
        kind = chance.random()
        if kind < 0.03:
            content_type = chance.choice((JSON, FORM, MULTIPART))
            return replace(shot, method=method, body=b"a" * TOO_LONG, content_type=content_type)
        if kind < (0.75 if route.is_api else 0.2):
            return replace(shot, method=method, body=chance.choice(values.JSON_BODIES), content_type=JSON)
        if kind < 0.85:
            return replace(
                shot, method=method, body=chance.choice(values.MULTIPART_BODIES), content_type=MULTIPART
            )
        body = chance.choice((*values.FORM_BODIES, *values.JSON_BODIES, *values.MULTIPART_BODIES))
        return replace(shot, method=method, body=body, content_type=chance.choice(values.CONTENT_TYPES))

    def _cookie(self, shot: Shot, _route: Route, chance: random.Random) -> Shot:
        return replace(shot, cookies=chance.choice(values.COOKIES))

    def _header(self, shot: Shot, _route: Route, chance: random.Random) -> Shot:
        if chance.random() < 0.2:
            return replace(shot, content_type=chance.choice(values.CONTENT_TYPES))
        return replace(shot, headers=tuple(chance.sample(values.HEADERS, k=chance.choice((1, 1, 2)))))
