"""Whatever is asked of any route by whomever, the answer is no error of the server, soon, the same on both databases."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from django.urls import Resolver404, resolve

from tests.hostile.client import Answer, send
from tests.hostile.requests import ROLES, Fields, Maker, Shot, path_of
from tests.hostile.routes import Route, routes
from tests.hostile.world import World, make_world

pytestmark = pytest.mark.fuzz
ROOT = Path(__file__).resolve().parents[2]
SEED, SHARDS = 20260601, 4
CI, CAMPAIGN = 6_000, 60_000
"""Requests in all, about as many for each route; at least `FOR_A_ROUTE`, which is each role and each kind of fault."""
FOR_A_ROUTE = 52
SLOWEST = 1.0  # seconds of the processor
"""No answer may take longer; one that did is asked for again, for the collector of garbage may have run in it."""
STATUSES = "SCHEDSITE_FUZZ_STATUSES"  # names a file for the statuses, of the run on the other database
TIMEOUT = 2400  # seconds for the run on the other database


@pytest.fixture
def world(db: None, settings: Any) -> Iterator[World]:
    """Return an installation with an account for each role; its connection is kept over requests."""
    settings.SCHEDULER_LEASE = 86_400  # its processes do not age while it is asked
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    logging.disable(logging.CRITICAL)  # of thousands of refusals
    yield make_world()
    logging.disable(logging.NOTSET)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def _ask(world: World, shot: Shot) -> Answer:
    answer = send(shot, world.sessions, world.tokens)
    return answer if answer.seconds <= SLOWEST else send(shot, world.sessions, world.tokens)


def forms_of(world: World, found: Sequence[Route]) -> dict[str, dict[str, str]]:
    """Return the fields of the page of each route, as its administrator sees them."""
    maker, pages = Maker(0, world.keys, {}), {}
    for route in found:
        *_, shot = maker.shots([route], ROLES.index("superuser") + 1)
        pages[route.pattern] = _ask(world, shot)
    return {
        pattern: Fields(page.body.decode()).found
        for pattern, page in pages.items()
        if page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    }


def fault_of(shot: Shot, answer: Answer) -> str:
    """Return what is wrong with an answer, nothing when it is as promised."""
    if answer.status >= 500:
        return f"status {answer.status} ({answer.error})"
    if answer.seconds > SLOWEST:
        return f"{answer.seconds:.2f} s of the processor"
    if answer.status in (400, 404) and shot.method != "HEAD" and not _is_in_our_words(shot, answer):
        return f"status {answer.status} in the words of the framework, {answer.headers.get('Content-Type')}"
    return ""


def _is_in_our_words(shot: Shot, answer: Answer) -> bool:
    kind = answer.headers.get("Content-Type", "")
    if not shot.path.startswith("/api/"):
        return kind.startswith("text/plain") or b"scheduler/site.css" in answer.body
    is_for_people = "text/html" in dict(shot.headers).get("HTTP_ACCEPT", "") and kind.startswith("text/html")
    return is_for_people or kind.startswith("application/problem+json")


@pytest.mark.parametrize("count", [CI, pytest.param(CAMPAIGN, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_request_is_answered_with_an_error_of_the_server(
    world: World, shard: int, count: int, tmp_path: Path
) -> None:
    found = routes()[shard::SHARDS]
    share = max(FOR_A_ROUTE, count // (SHARDS * len(found)) + 1)

    sent = _fuzz(world, found, share, tmp_path, is_campaign=count == CAMPAIGN)

    print(f"shard {shard}: {sent} requests to {len(found)} routes")
    assert sent >= count // SHARDS


def _fuzz(world: World, found: Sequence[Route], count: int, folder: Path, *, is_campaign: bool) -> int:
    """Send `count` requests to each route, hold the answers against what is promised; return how many there were."""
    other = _begin_on_sqlite(folder, is_campaign) if connection.vendor == "postgresql" else None
    faults, sent, reached = [], 0, set()
    path = Path(os.environ.get(STATUSES, folder / "statuses"))
    # Line by line, so that of a campaign that is cut short there is what it found until then.
    with path.open("w", encoding="utf-8", buffering=1) as statuses:
        for shot in Maker(SEED, world.keys, forms_of(world, found)).shots(found, count):
            answer = _ask(world, shot)
            fault = fault_of(shot, answer)
            print(json.dumps([answer.status, shot.told(), fault]), file=statuses)
            sent += 1
            reached.add(_route_of(shot))
            if fault:
                faults.append(f"{fault}: {shot.told()}")

    assert not faults, f"{len(faults)} of {sent} requests\n" + "\n".join(faults)
    assert {route.pattern for route in found} <= reached
    if other is not None:
        _compare(path, *other)
    return sent


def _route_of(shot: Shot) -> str:
    try:
        return str(resolve(shot.path).route)
    except Resolver404:
        return ""


def _begin_on_sqlite(folder: Path, is_campaign: bool) -> tuple[subprocess.Popen[bytes], Path]:
    """Start this very test on SQLite, with the same requests."""
    told = folder / "statuses-of-sqlite"
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "DATABASE_", "REDIS_"))
    }
    env |= {"SCHEDULER_DATA_DIR": str(folder / "sqlite"), STATUSES: str(told)}
    test = os.environ["PYTEST_CURRENT_TEST"].rsplit(" ", 1)[0]
    marked = "campaign" if is_campaign else "not campaign"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-m",
        marked,
        test,
    ]
    log = (folder / "sqlite.log").open("wb")
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log), told


def _compare(here: Path, process: subprocess.Popen[bytes], there: Path) -> None:
    code = process.wait(TIMEOUT)

    assert code == 0, (there.parent / "sqlite.log").read_text()[-3000:]
    differ = different(here, there)
    assert not differ, f"{len(differ)} requests\n" + "\n".join(differ)


def different(here: Path, there: Path) -> list[str]:
    """Return the requests that have another status on SQLite, by what two runs wrote."""
    lines = [path.read_text(encoding="utf-8").splitlines() for path in (here, there)]
    return [
        f"{ours} here and {theirs} on SQLite: {shot}"
        for (ours, shot, _), (theirs, *_) in zip(
            map(json.loads, lines[0]), map(json.loads, lines[1]), strict=True
        )
        if ours != theirs
    ]


@pytest.mark.parametrize("role", ["nobody", "staff", "viewer", "operator"])
def test_who_may_not_see_rows_does_not_learn_which_there_are(world: World, role: str) -> None:
    told = []
    for route in routes():
        if not route.parameters:
            continue
        there, missing = path_of(route, world.keys), path_of(route, world.keys, "987654321")
        for method in ("GET", "POST"):
            for with_token in {route.is_api, False}:
                first, second = (
                    _ask(world, Shot(role, method, path, with_token=with_token)) for path in (there, missing)
                )
                is_refused = role in ("nobody", "staff") or 403 in (first.status, second.status)
                if is_refused and first.status != second.status:
                    told.append(f"{method} {there}: {first.status}, but {second.status} when there is none")

    assert not told, "\n".join(told)
