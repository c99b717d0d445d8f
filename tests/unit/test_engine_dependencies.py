"""Whether the upstreams of a task let it start."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from scheduler.choices import FAILED, TERMINAL, Status, TriggerRule
from scheduler.engine.dependencies import (
    Readiness,
    UpstreamState,
    Verdict,
    readiness,
)
from tests.support.cases import each_case


def inside(
    task: str, status: Status | None, *, is_final: bool = True, execution_id: int = 12
) -> UpstreamState:
    return UpstreamState(
        task,
        in_run=True,
        status=status,
        is_final=is_final and status in TERMINAL,
        execution_id=None if status is None else execution_id,
    )


FRESH = UpstreamState("b", in_run=False, is_fresh=True, last_success_at=datetime(2026, 3, 10, 2, tzinfo=UTC))
USED = UpstreamState("b", in_run=False, last_success_at=datetime(2026, 3, 10, 2, tzinfo=UTC), used_by=812)
UNKNOWN = UpstreamState("b", in_run=False)
START = (Verdict.START, "")


def in_words(found: Readiness) -> tuple[Verdict, str]:
    return found.verdict, str(found.reason or "")


@each_case("rule", list(TriggerRule))
def test_task_without_upstreams_starts(rule: TriggerRule) -> None:
    assert in_words(readiness(rule, [])) == START


@each_case(
    ("upstreams", "expected"),
    [
        ([inside("a", Status.SUCCESS), inside("c", Status.SUCCESS)], START),
        ([inside("a", Status.SUCCESS), FRESH], START),
        (
            [inside("a", Status.SUCCESS), inside("c", Status.RUNNING, execution_id=13)],
            (Verdict.WAIT, "waits for c: running, execution 13"),
        ),
        ([inside("a", None)], (Verdict.WAIT, "waits for a: no execution yet")),
        (
            [inside("a", Status.TECHNICAL_FAILURE, is_final=False)],
            (Verdict.WAIT, "waits for a: technical_failure, execution 12"),
        ),
        (
            [inside("a", Status.BUSINESS_FAILURE)],
            (Verdict.NEVER, "upstream a ended business_failure, execution 12"),
        ),
        (
            [inside("c", None), inside("a", Status.SKIPPED)],
            (Verdict.NEVER, "upstream a ended skipped, execution 12"),
        ),
        (
            [inside("a", Status.SUCCESS), USED],
            (
                Verdict.WAIT,
                "waits for b: last success 2026-03-10 02:00:00 UTC, already used by execution 812",
            ),
        ),
        ([UNKNOWN], (Verdict.WAIT, "waits for b: no success yet")),
    ],
)
def test_all_success_needs_each_upstream(
    upstreams: list[UpstreamState], expected: tuple[Verdict, str]
) -> None:
    assert in_words(readiness(TriggerRule.ALL_SUCCESS, upstreams)) == expected


@each_case(
    ("upstreams", "expected"),
    [
        ([inside("a", Status.TIMEOUT), inside("c", Status.SKIPPED)], START),
        ([inside("a", Status.BUSINESS_FAILURE), FRESH], START),
        ([inside("a", Status.TIMEOUT, is_final=False)], Verdict.WAIT),
        ([inside("a", Status.SUCCESS), inside("c", None)], Verdict.WAIT),
        ([inside("a", Status.SUCCESS), USED], Verdict.WAIT),
    ],
)
def test_all_done_needs_an_outcome_of_each(
    upstreams: list[UpstreamState], expected: tuple[Verdict, str] | Verdict
) -> None:
    found = readiness(TriggerRule.ALL_DONE, upstreams)

    assert in_words(found) == expected or found.verdict is expected


@each_case(
    ("upstreams", "expected"),
    [
        ([inside("a", Status.TIMEOUT), inside("c", Status.RUNNING)], START),
        ([inside("a", Status.BUSINESS_FAILURE), USED], START),
        (
            [inside("a", Status.SUCCESS), inside("c", Status.RUNNING)],
            (Verdict.WAIT, "waits for c: running, execution 12"),
        ),
        (
            [inside("a", Status.SUCCESS), inside("c", Status.SKIPPED)],
            (Verdict.NEVER, "no upstream failed: a, c"),
        ),
        ([inside("a", Status.CANCELLED)], (Verdict.NEVER, "no upstream failed: a")),
        ([FRESH], (Verdict.NEVER, "no upstream belongs to this run")),
    ],
)
def test_any_failed_starts_at_the_first_failure(
    upstreams: list[UpstreamState], expected: tuple[Verdict, str]
) -> None:
    assert in_words(readiness(TriggerRule.ANY_FAILED, upstreams)) == expected


@given(st.sampled_from(TriggerRule), st.lists(st.sampled_from(sorted(TERMINAL)), min_size=1, max_size=5))
def test_nothing_waits_once_every_upstream_of_the_run_has_ended(
    rule: TriggerRule, statuses: list[Status]
) -> None:
    found = readiness(rule, [inside(f"t{n}", status) for n, status in enumerate(statuses)])

    allowed = {
        TriggerRule.ALL_SUCCESS: set(statuses) == {Status.SUCCESS},
        TriggerRule.ALL_DONE: True,
        TriggerRule.ANY_FAILED: bool(set(statuses) & FAILED),
    }
    assert found.verdict is (Verdict.START if allowed[rule] else Verdict.NEVER)
    assert bool(found.reason) is not allowed[rule]
