"""Whatever the documents allow, and much that they do not, the API answers without a 5xx and as documented."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import InvalidSchema
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from schedsite.wsgi import application
from tests.hostile.world import make_world

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
pytestmark = pytest.mark.fuzz
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
CI, CAMPAIGN = 2_000, 20_000
"""Requests in all: two fifths to each operation in either mode, one fifth in chains."""
STEPS = 8  # at most, of a chain
counts = pytest.mark.parametrize("count", [CI, pytest.param(CAMPAIGN, marks=pytest.mark.campaign)])


@pytest.fixture
def api(db: None, settings: Any) -> Iterator[Any]:
    """Return the documents as the installation serves them, to one who may do everything, of a site with history."""
    settings.SCHEDULER_RUN_LIMIT = settings.SCHEDULER_TEST_LIMIT = 1_000_000
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # the transaction of the test would end with it
    headers = {"Authorization": f"Bearer {make_world().tokens['editor']}"}
    loaded = schemathesis.openapi.from_wsgi("/api/schema?format=json", application, headers=headers)
    loaded.config.headers = headers
    logging.disable(logging.CRITICAL)
    yield loaded
    logging.disable(logging.NOTSET)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@counts
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_each_operation_answers_as_documented(api: Any, mode: GenerationMode, count: int) -> None:
    assert _ask_all(api, mode, count * 2 // 5) >= count * 2 // 5


@counts
def test_requests_that_follow_from_answers_are_answered_as_documented(api: Any, count: int) -> None:
    assert _follow(api, count // 5) >= count // 5


def _settings(count: int, **more: Any) -> settings:
    checks = list(HealthCheck)
    return settings(max_examples=count, deadline=None, database=None, suppress_health_check=checks, **more)


def _ask_all(api: Any, mode: GenerationMode, count: int) -> int:
    """Send at least `count` requests, as many to each operation as it has, and return how many there were.

    The requests are the same in each run. About some operations nothing can be wrong, and few requests can be made to
    some: those have all of them in the first round, and the others have more in the next ones.
    """
    seen: Counter[int] = Counter()
    operations = [operation.ok() for operation in api.get_all_operations()]
    number = 0
    while operations and (missing := count - seen.total()) > 0:
        share = missing // len(operations) + 1
        operations = [one for one in operations if _ask(one, mode, share, seen, number) >= share]
        number += 1
    print(mode, seen.total(), dict(seen))
    return seen.total()


def _ask(operation: Any, mode: GenerationMode, count: int, seen: Counter[int], number: int) -> int:
    """Send so many requests, or all that can be made; return how many there were."""
    try:
        cases = operation.as_strategy(generation_mode=mode)
    except InvalidSchema:
        return 0  # nothing about it can be wrong
    before = seen.total()

    @seed(number)
    @given(case=cases)
    @_settings(count, phases=(Phase.explicit, Phase.generate))
    def send(case: Any) -> None:
        with transaction.atomic():
            response = case.call()
            transaction.set_rollback(True)  # what there is to be asked for stays
        seen[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):
        send()
    return seen.total() - before


def _follow(api: Any, count: int) -> int:
    """Make, change, run and delete by chains of requests that use what was answered before; return their number."""
    seen: Counter[int] = Counter()

    class Chain(api.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            """Let each chain find the same rows, or it could not be made again."""
            self.before = transaction.savepoint()
            super().setup()

        def teardown(self) -> None:
            super().teardown()
            transaction.savepoint_rollback(self.before)

        def validate_response(self, response: Any, case: Any, **_more: Any) -> None:
            seen[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

    number = 0
    while (missing := count - seen.total()) > 0:
        chains = missing // STEPS + 1
        run_state_machine_as_test(
            seed(number)(Chain),
            settings=_settings(chains, stateful_step_count=STEPS, phases=(Phase.generate,)),
        )
        assert seen.total() > count - missing, "a round of chains sent nothing"
        number += 1
    print("chains", seen.total(), dict(seen))
    return seen.total()
