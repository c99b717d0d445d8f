"""All routes of the site and the API, walked from the resolver: none is listed by hand, so none can be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

PARAMETER = re.compile(r"<(?:[a-z_]+:)?([a-z_]+)>")
OF_A_MODEL = re.compile(r"admin/(?:auth|scheduler|notifications|sessions|axes)/([a-z]+)/")
#: parameter of the API -> model
OF_THE_API = {
    "rule_id": "notificationrule",
    "delivery_id": "delivery",
    "run_id": "run",
    "execution_id": "execution",
}
BY_EXPRESSION = {
    r"^(?P<app_label>": "scheduler/",
    "(?P<url>.*)$": "nowhere/at/all/",
    "": "nowhere/at/all",
}
"""Beginning of a regular expression -> a path that it matches."""


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes:
        pattern: as the resolver names it; the same as `ResolverMatch.route`.
        template: the path with ``{name}`` for each parameter.
        parameters: names of the parameters, in order.
        model: name of the model whose key the address holds, empty when none.
    """

    pattern: str
    template: str
    parameters: tuple[str, ...]
    model: str

    @property
    def is_api(self) -> bool:
        """Whether errors are problem details."""
        return self.template.startswith("/api/")


def routes() -> list[Route]:
    """Return every route, in the order of the resolver."""
    return list(_walk(get_resolver(), "", ""))


def _walk(resolver: URLResolver, pattern: str, template: str) -> Iterator[Route]:
    for entry in resolver.url_patterns:
        here = pattern + str(entry.pattern).removeprefix("^")  # as the resolver joins them
        path = template + _example(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _walk(entry, here, path)
        elif isinstance(entry, URLPattern):
            parameters = tuple(re.findall(r"\{([a-z_]+)\}", path))
            model = OF_A_MODEL.match(here)
            yield Route(here, f"/{path}", parameters, model[1] if model else _model(parameters))


def _model(parameters: tuple[str, ...]) -> str:
    return next((OF_THE_API[name] for name in parameters if name in OF_THE_API), "")


def _example(pattern: Any) -> str:
    """Return a part of a path with its parameters in braces.

    Raises:
        LookupError: it is a regular expression that `BY_EXPRESSION` does not know.
    """
    text = str(pattern)
    if isinstance(pattern, RoutePattern):
        return PARAMETER.sub(r"{\1}", text)
    for beginning, path in BY_EXPRESSION.items():
        if text == beginning or (beginning and text.startswith(beginning)):
            return path
    raise LookupError(f"tests/hostile/routes.py has no path for the expression {text!r}")
