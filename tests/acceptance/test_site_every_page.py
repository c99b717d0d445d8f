"""What holds on every page: within reach of everybody, calm in the console, on a phone, in both themes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from schedsite.demo.seeding import seed_demonstration
from tests import site_pages

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
SERIOUS = ("serious", "critical")
DRAWN_BY_SCRIPTS = {"/api/docs": ".opblock"}
"""What stands on pages that a script draws once it has: before, there is nothing to look at."""


@pytest.fixture
def addresses(page: Any, live_server: Any) -> list[str]:
    """Return the address of every page of an installation with some days behind it."""
    seed_demonstration(now=datetime.now(UTC), days=3, task_count=12)
    return [live_server.url + address for _, address in site_pages.walk(site_pages.keys())]


@pytest.fixture
def axe() -> Iterator[Any]:
    """Return a function that finds what keeps people out of the page that is shown."""
    from axe_playwright_python.sync_playwright import Axe

    tool = Axe()

    def find(page: Any) -> list[str]:
        found = tool.run(page, options={"resultTypes": ["violations"]}).response["violations"]
        return [
            f"{problem['id']}: {node['html'][:200]} | {node['any'][0]['message'] if node['any'] else ''}"
            for problem in found
            if problem["impact"] in SERIOUS
            for node in problem["nodes"][:5]
        ]

    yield find


def _open(page: Any, address: str) -> None:
    page.goto(address)
    for end, drawn in DRAWN_BY_SCRIPTS.items():
        if address.endswith(end):
            page.wait_for_selector(drawn)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_on_any_page_keeps_people_out(page: Any, addresses: list[str], axe: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    found = {}
    for address in addresses:
        _open(page, address)
        problems = axe(page)
        if problems:
            found[address] = problems

    assert found == {}


def test_no_page_is_wider_than_a_phone(page: Any, addresses: list[str]) -> None:
    page.set_viewport_size(PHONE)

    wide = {}
    for address in addresses:
        _open(page, address)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            wide[address] = width

    assert wide == {}
