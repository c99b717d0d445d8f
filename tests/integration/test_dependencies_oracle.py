"""Random runs of a diamond and of random graphs, against an oracle that knows nothing of the engine."""

from __future__ import annotations

import random
from typing import Any

import hypothesis
import pytest
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from scheduler.choices import ACTIVE, Status
from scheduler.models import Execution, Run
from tests.simulation import Engine

ENDINGS = [Status.SUCCESS] * 5 + [Status.TECHNICAL_FAILURE, Status.TIMEOUT, Status.BUSINESS_FAILURE]
RETRIES = 2


def end_some(engine: Engine, chance: random.Random, attempts: dict[str, list[Status]]) -> bool:
    """End some of what runs, if anything does; note the attempts of each task."""
    running = engine.claim()
    if not running:
        return False
    chosen = chance.sample(running, chance.randint(1, len(running)))
    endings = {name: chance.choice(ENDINGS) for name in chosen}
    for name, status in endings.items():
        attempts.setdefault(name, []).append(status)
    engine.end(**endings)
    return True


def play(engine: Engine, chance: random.Random, attempts: dict[str, list[Status]]) -> None:
    """Go on until nothing is left, waiting out each retry."""
    engine.clock.tick(120)
    while end_some(engine, chance, attempts):
        engine.clock.tick(120)


def outcome_by_attempts(attempts: list[Status]) -> Status:
    """What a task with RETRIES retries ends as: the rule of retries, said again by itself."""
    for number, status in enumerate(attempts):
        if status in (Status.SUCCESS, Status.BUSINESS_FAILURE) or number == RETRIES:
            assert len(attempts) == number + 1, "tried again after its outcome"
            return status
    raise AssertionError(f"no outcome after {attempts}")


def check_all_ended(
    upstreams: dict[str, list[str]], rules: dict[str, str], attempts: dict[str, list[Status]]
) -> None:
    """Compare what was stored with what the words of the rules say, walking down the graph once."""
    assert not Execution.objects.filter(status__in=ACTIVE).exists()
    assert Run.objects.get().finished_at is not None
    stored = {
        task: [row.status for row in Execution.objects.filter(task__task_id=task, is_outcome=True)]
        for task in upstreams
    }
    expected: dict[str, str] = {}
    for task, above in upstreams.items():  # in an order in which upstreams come first
        ended = [expected[up] for up in above]
        failed = any(s in ("technical_failure", "timeout", "business_failure") for s in ended)
        may_start = {
            "all_success": all(s == "success" for s in ended),
            "all_done": True,
            "any_failed": failed,
        }[rules[task]]
        if not above or may_start:
            expected[task] = outcome_by_attempts(attempts.pop(task)).value
        else:
            assert task not in attempts, f"{task} ran and must not"
            expected[task] = "skipped"
    assert attempts == {}
    assert stored == {task: [status] for task, status in expected.items()}


DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


class DiamondRun(RuleBasedStateMachine):
    """One run of a diamond: what runs ends in any order, one by one or together, after any time."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.run = transaction.atomic()
        self.run.__enter__()  # each run is rolled back, which keeps a thousand of them quick
        self.attempts: dict[str, list[Status]] = {}
        self.engine.claimed.clear()
        self.engine.start("a")

    @rule(seconds=st.integers(1, 200))
    def time_goes_by(self, seconds: int) -> None:
        self.engine.clock.tick(seconds)

    @rule(choice=st.randoms(use_true_random=False))
    def something_ends(self, choice: random.Random) -> None:
        end_some(self.engine, choice, self.attempts)

    @invariant()
    def nothing_runs_twice(self) -> None:
        active = Execution.objects.active().order_by().values_list("task", flat=True)
        assert len(active) == len(set(active))

    def teardown(self) -> None:
        play(self.engine, random.Random(1), self.attempts)
        both = all(self.attempts.get(name, [None])[-1] == Status.SUCCESS for name in "bc")
        assert ("d" in self.attempts) == both
        check_all_ended(DIAMOND, dict.fromkeys(DIAMOND, "all_success"), self.attempts)
        transaction.set_rollback(True)
        self.run.__exit__(None, None, None)


@pytest.mark.parametrize("runs", [60, pytest.param(1000, marks=pytest.mark.campaign)])
def test_random_diamonds_join_once_or_are_skipped_once_and_all_end(make_task: Any, runs: int) -> None:
    engine = Engine(make_task)
    for task, upstreams in DIAMOND.items():
        engine.task(task, *upstreams, task_retry=RETRIES, task_retry_interval=30)
    machine = type("Diamond", (DiamondRun,), {"engine": engine})

    run_state_machine_as_test(
        machine, settings=hypothesis.settings(max_examples=runs, stateful_step_count=8, deadline=None)
    )


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_with_all_rules_end_as_the_oracle_says(make_task: Any, seed: int) -> None:
    chance = random.Random(seed)
    engine = Engine(make_task)
    upstreams: dict[str, list[str]] = {"t0": []}
    rules = {"t0": "all_success"}
    engine.task("t0", task_retry=RETRIES, task_retry_interval=1)
    for number in range(1, chance.randint(3, 12)):
        name = f"t{number}"
        upstreams[name] = sorted(chance.sample(list(upstreams), chance.randint(1, min(3, len(upstreams)))))
        rules[name] = chance.choice(["all_success", "all_success", "all_done", "any_failed"])
        engine.task(
            name, *upstreams[name], task_retry=RETRIES, task_retry_interval=1, task_trigger_rule=rules[name]
        )

    engine.start("t0")
    attempts: dict[str, list[Status]] = {}
    play(engine, chance, attempts)

    check_all_ended(upstreams, rules, attempts)
