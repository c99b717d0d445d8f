"""Whether a notification rule fires, and why. Pure: the history is given, nothing is read and no clock is asked.

The order of outcomes is ``(finished_at, id)``, whoever recorded them first. All that a rule says follows from the
outcomes in this order by a fold (`Replay`) that keeps two things: the streak, and whether an alert stands.

- An outcome that the rule's triggers name makes the streak longer. `skipped`, `missed` and `cancelled` outcomes that
  they do not name neither count nor break it; any other outcome ends it.
- An alert stands from when consecutive outcomes other than successes that the rule names reach its threshold, until
  the next success, which is `recovered`. A rule that names only `recovered` looks at failures with its own threshold.
- `overdue` is no outcome: see `notifications.deadlines`.

An outcome that is recorded late, after others that ended later, is judged in its place, and those after it are judged
again: a message that they cause only now is written (`judge`). What was written before stays. So every message of the
replay is written whatever the order of recording, and in order of recording no other one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.choices import FAILED, TERMINAL, Status

RECOVERED, OVERDUE = "recovered", "overdue"
TRIGGERS = (*(status.value for status in Status if status in TERMINAL), RECOVERED, OVERDUE)
NEUTRAL = frozenset({Status.SKIPPED, Status.MISSED, Status.CANCELLED})
EVERY, ONCE, ALWAYS = REPEATS = ("every", "once", "always")


class BrokenRuleError(ValueError):
    """A rule that cannot be evaluated; the text says what is wrong with it."""


@dataclass(frozen=True)
class Rule:
    """What a rule says about outcomes.

    Attributes:
        triggers: of `TRIGGERS`.
        threshold: consecutive matching outcomes that cause a message, from 1.
        repeat: ``every`` (at 1×, 2×, 3× the threshold), ``once`` (when it is reached) or ``always`` (from it on).
        cooldown: seconds in which further messages are held back.

    Raises:
        BrokenRuleError: a value is none of these.
    """

    triggers: frozenset[str]
    threshold: int = 1
    repeat: str = EVERY
    cooldown: float = 0.0

    def __post_init__(self) -> None:
        unknown = sorted(str(word) for word in self.triggers if word not in TRIGGERS)
        if unknown or not self.triggers:
            found = ", ".join(unknown) or "nothing"
            raise BrokenRuleError(f"triggers must be of {', '.join(TRIGGERS)}, but {found} was found")
        if type(self.threshold) is not int or self.threshold < 1:
            raise BrokenRuleError(
                f"threshold must be a whole number from 1, but {self.threshold!r} was found"
            )
        if self.repeat not in REPEATS:
            raise BrokenRuleError(f"repeat must be of {', '.join(REPEATS)}, but {self.repeat!r} was found")
        is_number = isinstance(self.cooldown, int | float) and math.isfinite(self.cooldown)
        if not is_number or self.cooldown < 0:
            raise BrokenRuleError(f"cooldown must be seconds from 0, but {self.cooldown!r} was found")

    @property
    def alarms(self) -> frozenset[str]:
        """The outcomes after which a success is `recovered`; none when the rule does not ask for it."""
        if RECOVERED not in self.triggers:
            return frozenset()
        own = self.triggers - {Status.SUCCESS.value, RECOVERED, OVERDUE}
        return own if own or OVERDUE in self.triggers else frozenset(FAILED)

    @property
    def needs_history(self) -> bool:
        """Whether earlier outcomes decide; without them every matching outcome causes a message."""
        return self.threshold > 1 or self.repeat == ONCE or RECOVERED in self.triggers

    def is_break(self, status: str) -> bool:
        """Tell whether an outcome ends a streak."""
        return status not in self.triggers and status not in NEUTRAL

    def is_due(self, streak: int) -> bool:
        """Tell whether a streak of this length causes a message when an outcome has just made it longer."""
        if streak < self.threshold:
            return False
        if self.repeat == EVERY:
            return streak % self.threshold == 0
        return self.repeat == ALWAYS or streak == self.threshold


@dataclass(frozen=True)
class Outcome:
    """The end of a task in one run."""

    status: str
    finished_at: datetime
    id: int


@dataclass(frozen=True)
class Decision:
    """What a rule says to one outcome.

    Attributes:
        event: the word of the trigger that fired, "" when none did.
        streak: consecutive matching outcomes including this one; after `recovered`, those of the alert that ended.
        reason: one sentence.
    """

    event: str
    streak: int
    reason: str

    @property
    def fires(self) -> bool:
        """Whether a message is due."""
        return bool(self.event)


class Replay:
    """The fold of a rule over the outcomes of one task, in their order."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.streak = 0
        self._alarms = rule.alarms
        self._alarm_streak = 0
        self._alert = 0  # the longest streak of alarms in the alert that stands; 0: none stands

    def add(self, status: str, *, was_overdue: bool = False) -> Decision:
        """Take the next outcome and return what the rule says to it.

        Args:
            was_overdue: whether this rule told of a missed deadline since the previous success.
        """
        if status in NEUTRAL and status not in self.rule.triggers:
            return Decision("", self.streak, f"{status} neither counts nor breaks a streak")
        is_match = status in self.rule.triggers
        self.streak = self.streak + 1 if is_match else 0
        alert = self._follow_alert(status)
        if status == Status.SUCCESS and RECOVERED in self.rule.triggers and (alert or was_overdue):
            return Decision(RECOVERED, max(alert, 1), "the first success after an alert")
        if not is_match:
            return Decision("", 0, f"{status} is none of the triggers; it ends a streak")
        return Decision(status if self.rule.is_due(self.streak) else "", self.streak, self._why())

    def _follow_alert(self, status: str) -> int:
        """Note whether an alert stands; return the length of the one that this outcome ends, else 0."""
        if status == Status.SUCCESS:
            ended, self._alert, self._alarm_streak = self._alert, 0, 0
            return ended
        self._alarm_streak = self._alarm_streak + 1 if status in self._alarms else 0
        if self._alarm_streak >= self.rule.threshold:
            self._alert = max(self._alert, self._alarm_streak)
        return 0

    def _why(self) -> str:
        outcomes = (
            "1 matching outcome" if self.streak == 1 else f"{self.streak} consecutive matching outcomes"
        )
        return f"{outcomes}; threshold {self.rule.threshold}, repeat {self.rule.repeat}"


def in_order(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return outcomes in the order that counts."""
    return sorted(outcomes, key=lambda outcome: (outcome.finished_at, outcome.id))


def decide(rule: Rule, outcomes: Sequence[Outcome]) -> Decision:
    """Return what `rule` says to the latest of the outcomes of a task.

    Raises:
        ValueError: there is no outcome.
    """
    if not outcomes:
        raise ValueError("there is no outcome to decide on")
    return replay(rule, in_order(outcomes))[-1]


def replay(rule: Rule, outcomes: Iterable[Outcome], *, overdue: Collection[int] = ()) -> list[Decision]:
    """Return what `rule` says to each of the ordered outcomes.

    Args:
        overdue: ids of successes before which the rule told of a missed deadline.
    """
    fold = Replay(rule)
    return [fold.add(outcome.status, was_overdue=outcome.id in overdue) for outcome in outcomes]


def judge(
    rule: Rule, outcomes: Sequence[Outcome], *, new: Collection[int], overdue: Collection[int] = ()
) -> list[tuple[Outcome, Decision]]:
    """Return the messages that new outcomes cause: their own, and those of later ones that they make due.

    Args:
        outcomes: in order, beginning where `is_settled` says that nothing before matters.
        new: ids of the outcomes that are recorded just now.
    """
    found = []
    before = Replay(rule)
    for outcome, decision in zip(outcomes, replay(rule, outcomes, overdue=overdue), strict=True):
        is_new = outcome.id in new
        told = "" if is_new else before.add(outcome.status, was_overdue=outcome.id in overdue).event
        if decision.fires and decision.event != told:
            found.append((outcome, decision))
    return found


def is_settled(rule: Rule, earlier: Iterable[str]) -> bool:
    """Tell whether the statuses before an outcome, in any order, suffice to judge it: nothing before them matters.

    A streak is settled by an outcome that breaks it, an alert by a success.
    """
    has_break, has_success = False, RECOVERED not in rule.triggers
    for status in earlier:
        has_break = has_break or rule.is_break(status)
        has_success = has_success or status == Status.SUCCESS
        if has_break and has_success:
            return True
    return False


def held_back(rule: Rule, *, at: datetime, told_at: datetime | None) -> bool:
    """Tell whether the cooldown holds a message back.

    Alerts are measured against alerts, `recovered` against `recovered`: an alert does not hide the recovery.

    Args:
        at: when what it tells of happened.
        told_at: when that of the last message happened which was not held back, for the same task.
    """
    return told_at is not None and abs(at - told_at) < timedelta(seconds=rule.cooldown)
