"""Which due slots run, and which are recorded as missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.choices import MisfirePolicy
from scheduler.engine.misfire import RUN_ALL_LIMIT, DueSlots, MissedSpan, SlotPlan, due_slots, plan_slots
from scheduler.engine.schedules import parse_schedule, slots_between
from tests.effort import calls_of
from tests.support.cases import each_case

NOW = datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC)
GRACE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
EACH_MINUTE = parse_schedule("* * * * *", "UTC")


def ago(*seconds: int) -> tuple[datetime, ...]:
    return tuple(NOW - n * SECOND for n in seconds)


def plan(due: DueSlots | tuple[datetime, ...], policy: MisfirePolicy, limit: int = 100) -> SlotPlan:
    return plan_slots(due, now=NOW, grace=GRACE, policy=policy, limit=limit)


@each_case("policy", list(MisfirePolicy))
def test_slot_within_grace_runs_under_every_policy(policy: MisfirePolicy) -> None:
    assert plan(ago(60), policy) == SlotPlan(ago(60), None)


@each_case("policy", list(MisfirePolicy))
def test_nothing_due_plans_nothing(policy: MisfirePolicy) -> None:
    assert plan((), policy) == SlotPlan((), None)


def span(*seconds: int) -> MissedSpan:
    slots = ago(*seconds)
    return MissedSpan(slots[0], slots[-1], len(slots))


@each_case(
    ("policy", "due", "run", "missed"),
    [
        (MisfirePolicy.RUN_ONCE, ago(61), ago(61), None),
        (MisfirePolicy.RUN_ONCE, ago(300, 200, 100), ago(100), span(300, 200)),
        (MisfirePolicy.RUN_ONCE, ago(300, 200, 30), ago(30), span(300, 200)),
        (MisfirePolicy.SKIP, ago(61), (), span(61)),
        (MisfirePolicy.SKIP, ago(300, 200, 100), (), span(300, 200, 100)),
        (MisfirePolicy.SKIP, ago(300, 50, 10), ago(50, 10), span(300)),
        (MisfirePolicy.RUN_ALL, ago(300, 200, 100), ago(300, 200, 100), None),
        (MisfirePolicy.RUN_ALL, ago(300, 200, 30), ago(300, 200, 30), None),
    ],
)
def test_late_slots_follow_the_policy(
    policy: MisfirePolicy, due: tuple[datetime, ...], run: tuple[datetime, ...], missed: MissedSpan | None
) -> None:
    assert plan(due, policy) == SlotPlan(run, missed)


def test_run_all_runs_the_newest_up_to_the_limit_oldest_first() -> None:
    result = plan(ago(500, 400, 300, 200, 30), MisfirePolicy.RUN_ALL, limit=2)

    assert result == SlotPlan(ago(300, 200, 30), span(500, 400))


def test_run_all_with_limit_zero_runs_only_what_is_in_time() -> None:
    assert plan(ago(500, 30), MisfirePolicy.RUN_ALL, limit=0) == SlotPlan(ago(30), span(500))


def test_counted_slots_of_a_long_outage_join_the_missed_span() -> None:
    older = MissedSpan(NOW - timedelta(days=9), NOW - timedelta(days=1), 777)

    result = plan(DueSlots(ago(300, 200, 100), older), MisfirePolicy.RUN_ONCE)

    assert result == SlotPlan(ago(100), MissedSpan(older.first, ago(200)[0], 779))


@pytest.mark.proves("G1")
@given(
    st.lists(st.integers(0, 500), unique=True).map(lambda seconds: ago(*sorted(seconds, reverse=True))),
    st.sampled_from(MisfirePolicy),
    st.integers(0, 5),
)
def test_every_slot_is_either_run_or_missed(
    due: tuple[datetime, ...], policy: MisfirePolicy, limit: int
) -> None:
    result = plan(due, policy, limit)

    number = len(due) - len(result.run)
    assert result.run == due[number:]
    assert result.missed == (MissedSpan(due[0], due[number - 1], number) if number else None)


def test_due_slots_include_both_ends() -> None:
    since = datetime(2026, 3, 10, 11, 58, tzinfo=UTC)
    now = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)

    assert due_slots(EACH_MINUTE, since, now).newest == (since, since + 60 * SECOND, now)


def test_due_slots_before_the_first_are_none() -> None:
    assert due_slots(EACH_MINUTE, NOW + 60 * SECOND, NOW) == DueSlots(())


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["* * * * *", "*/20 2 * * *", "*/5 0-3 * * *", "0 * * * *", "*/7 30 1,2 * * *"]),
    st.integers(0, 5 * 86_400),
    st.integers(1, 50),
)
def test_slots_beyond_the_cap_are_counted_exactly(expression: str, seconds: int, cap: int) -> None:
    schedule = parse_schedule(expression, "Europe/Berlin")
    now = datetime(2026, 3, 31, tzinfo=UTC)
    since = now - seconds * SECOND
    listed = slots_between(schedule, since - SECOND, now)

    due = due_slots(schedule, since, now, cap=cap)

    assert due.newest == tuple(listed[-cap:])
    beyond = listed[:-cap]
    assert due.older == (MissedSpan(beyond[0], beyond[-1], len(beyond)) if beyond else None)


def test_outage_of_a_year_of_a_schedule_of_seconds_takes_little_work() -> None:
    schedule = parse_schedule("* * * * * *", "Europe/Berlin")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    since = datetime(2025, 1, 1, tzinfo=UTC)

    due, calls = calls_of(lambda: due_slots(schedule, since, now))

    assert calls < 40 * 10_000  # for those that are listed; the others are only counted
    assert len(due.newest) == 10_000
    assert due.older == MissedSpan(since, now - 10_000 * SECOND, 365 * 86_400 + 1 - 10_000)


def test_only_late_slots_that_may_run_are_listed_beside_those_in_time() -> None:
    each_second = parse_schedule("* * * * * *", "UTC")
    since, grace = NOW - timedelta(days=30), timedelta(seconds=10)

    due = due_slots(each_second, since, NOW, grace=grace)

    assert len(due.newest) == 11 + RUN_ALL_LIMIT
    assert due.older is not None
    assert due.older.count + len(due.newest) == 30 * 86_400 + 1
    for policy in MisfirePolicy:
        everything = due_slots(each_second, since, NOW)
        plans = [plan_slots(found, now=NOW, grace=grace, policy=policy) for found in (due, everything)]
        assert plans[0] == plans[1]
