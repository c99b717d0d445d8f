"""Whether a notification rule fires, and why. Pure: the history is passed in; no I/O and no clock.

Outcomes are ordered by ``(finished_at, id)``, regardless of the order of recording. The state of a rule is a fold
over the outcomes in this order (`Replay`) with two values: the streak, and whether an alert is open.

- An outcome named by the triggers extends the streak. `skipped`, `missed` and `cancelled` outcomes that are not named
    neither extend nor break it; any other outcome ends it.
- An alert opens when the streak of outcomes other than success reaches the threshold, and closes at the next success,
    which is `recovered`. A rule that names only `recovered` counts failures against its own threshold.
- `overdue` is not an outcome: see `notifications.engine.deadlines`.

An outcome that is recorded after others that ended later is judged at its position, and the outcomes after it are
judged again: messages that become due only now are written (`judge`); messages written earlier are kept. So every
message of the replay is written regardless of the order of recording, and no others if they are recorded in order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifications.engine.reasons import Code
from scheduler.choices import FAILED, NEUTRAL, TERMINAL, Status
from scheduler.engine.reasons import Reason

RECOVERED, OVERDUE = "recovered", "overdue"
TRIGGERS = (*(status.value for status in Status if status in TERMINAL), RECOVERED, OVERDUE)
EVERY, ONCE, ALWAYS = REPEATS = ("every", "once", "always")


class BrokenRuleError(ValueError):
    """A rule that cannot be evaluated; the text names the problem."""


@dataclass(frozen=True)
class Rule:
    """The conditions of a rule.

    Attributes:
        triggers: of `TRIGGERS`.
        threshold: consecutive matching outcomes that cause a message, from 1.
        repeat: ``every`` (at 1×, 2×, 3× the threshold), ``once`` (when it is reached) or ``always`` (from it on).
        cooldown: seconds during which further messages are suppressed.

    Raises:
        BrokenRuleError: a value is invalid.
    """

    triggers: frozenset[str]
    threshold: int = 1
    repeat: str = EVERY
    cooldown: float = 0.0

    def __post_init__(self) -> None:
        unknown = sorted(str(word) for word in self.triggers if word not in TRIGGERS)
        if unknown or not self.triggers:
            values = {"known": list(TRIGGERS), "found": ", ".join(unknown) or "nothing"}
            raise BrokenRuleError(Reason(Code.TRIGGERS_NOT_VALID, values))
        if type(self.threshold) is not int or self.threshold < 1:
            raise BrokenRuleError(Reason(Code.THRESHOLD_NOT_VALID, {"found": repr(self.threshold)}))
        if self.repeat not in REPEATS:
            values = {"known": list(REPEATS), "found": repr(self.repeat)}
            raise BrokenRuleError(Reason(Code.REPEAT_NOT_VALID, values))
        is_number = isinstance(self.cooldown, int | float) and math.isfinite(self.cooldown)
        if not is_number or self.cooldown < 0:
            raise BrokenRuleError(Reason(Code.COOLDOWN_NOT_VALID, {"found": repr(self.cooldown)}))

    @property
    def alarms(self) -> frozenset[str]:
        """The outcomes after which a success is `recovered`; empty if `recovered` is not a trigger."""
        if RECOVERED not in self.triggers:
            return frozenset()
        own = self.triggers - {Status.SUCCESS.value, RECOVERED, OVERDUE}
        return own if own or OVERDUE in self.triggers else frozenset(FAILED)

    @property
    def needs_history(self) -> bool:
        """Whether the decision depends on earlier outcomes; otherwise every matching outcome causes a message."""
        return self.threshold > 1 or self.repeat == ONCE or RECOVERED in self.triggers

    def is_break(self, status: str) -> bool:
        """Return whether an outcome ends a streak."""
        return status not in self.triggers and status not in NEUTRAL

    def is_due(self, streak: int) -> bool:
        """Return whether a streak that has just reached this length causes a message."""
        if streak < self.threshold:
            return False
        if self.repeat == EVERY:
            return streak % self.threshold == 0
        return self.repeat == ALWAYS or streak == self.threshold


@dataclass(frozen=True)
class Outcome:
    """The final status of a task in one run."""

    status: str
    finished_at: datetime
    id: int


@dataclass(frozen=True)
class Decision:
    """The decision of a rule for one outcome.

    Attributes:
        event: the trigger that fired, or "".
        streak: consecutive matching outcomes including this one; for `recovered`, those of the closed alert.
        reason: why the rule fired or did not; None where it is not needed.
        repeats: consecutive occurrences of this outcome; 1 for `recovered`, which is not an outcome.
    """

    event: str
    streak: int
    reason: Reason | None = None
    repeats: int = field(default=1, compare=False)

    @property
    def fires(self) -> bool:
        """Whether a message is due."""
        return bool(self.event)


class Replay:
    """A fold of a rule over the outcomes of one task, in order."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.streak = 0
        self._alarms = rule.alarms
        self._alarm_streak = 0
        self._last = ""
        self._repeats = 0
        self._alert = 0  # longest streak of alarms in the open alert; 0: no open alert

    def add(self, status: str, *, was_overdue: bool = False) -> Decision:
        """Process the next outcome and return the decision for it.

        Args:
            was_overdue: whether this rule reported a missed deadline since the previous success.
        """
        if status in NEUTRAL and status not in self.rule.triggers:
            return Decision("", self.streak, Reason(Code.OUTCOME_NEUTRAL, {"status": str(status)}))
        is_match = status in self.rule.triggers
        self.streak = self.streak + 1 if is_match else 0
        self._repeats = self._repeats + 1 if status == self._last else 1
        self._last = status
        alert = self._follow_alert(status)
        if status == Status.SUCCESS and RECOVERED in self.rule.triggers and (alert or was_overdue):
            return Decision(RECOVERED, max(alert, 1), Reason(Code.RECOVERED))
        if not is_match:
            return Decision("", 0, Reason(Code.OUTCOME_ENDS_STREAK, {"status": str(status)}))
        event = status if self.rule.is_due(self.streak) else ""
        return Decision(event, self.streak, self._why(), self._repeats)

    def _follow_alert(self, status: str) -> int:
        """Update the open alert; return the length of the alert that this outcome closes, else 0."""
        if status == Status.SUCCESS:
            ended, self._alert, self._alarm_streak = self._alert, 0, 0
            return ended
        self._alarm_streak = self._alarm_streak + 1 if status in self._alarms else 0
        if self._alarm_streak >= self.rule.threshold:
            self._alert = max(self._alert, self._alarm_streak)
        return 0

    def _why(self) -> Reason:
        values = {"number": self.streak, "threshold": self.rule.threshold, "repeat": self.rule.repeat}
        return Reason(Code.OUTCOMES_MATCH, values)


def in_order(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return outcomes ordered by ``(finished_at, id)``."""
    return sorted(outcomes, key=lambda outcome: (outcome.finished_at, outcome.id))


def decide(rule: Rule, outcomes: Sequence[Outcome]) -> Decision:
    """Return the decision of `rule` for the latest outcome of a task.

    Raises:
        ValueError: `outcomes` is empty.
    """
    if not outcomes:
        raise ValueError("there is no outcome to decide on")
    return replay(rule, in_order(outcomes))[-1]


def replay(rule: Rule, outcomes: Iterable[Outcome], *, overdue: Collection[int] = ()) -> list[Decision]:
    """Return the decision of `rule` for each of the ordered outcomes.

    Args:
        overdue: ids of successes before which the rule reported a missed deadline.
    """
    fold = Replay(rule)
    return [fold.add(outcome.status, was_overdue=outcome.id in overdue) for outcome in outcomes]


def judge(
    rule: Rule, outcomes: Sequence[Outcome], *, new: Collection[int], overdue: Collection[int] = ()
) -> list[tuple[Outcome, Decision]]:
    """Return the messages that new outcomes cause: their own, and those of later outcomes that become due.

    Args:
        outcomes: in order, starting at a point where `is_settled` is true.
        new: ids of the outcomes being recorded.
    """
    found = []
    before = Replay(rule)
    for outcome, decision in zip(outcomes, replay(rule, outcomes, overdue=overdue), strict=True):
        is_new = outcome.id in new
        reported = "" if is_new else before.add(outcome.status, was_overdue=outcome.id in overdue).event
        if decision.fires and decision.event != reported:
            found.append((outcome, decision))
    return found


def unsuccessful_before(rule: Rule | None, earlier: Sequence[str]) -> list[str] | None:
    """Return the statuses that count for a rule since the previous success, or None if it lies further back.

    Args:
        rule: skipped, missed and cancelled outcomes count if the rule names them; None: they do not count.
        earlier: statuses before a success, in order.
    """
    counted = NEUTRAL - (rule.triggers if rule is not None else frozenset())
    found: list[str] = []
    for status in reversed(earlier):
        if status == Status.SUCCESS:
            return found
        if status not in counted:
            found.append(status)
    return None


def is_settled(rule: Rule, earlier: Iterable[str]) -> bool:
    """Return whether the statuses before an outcome, in any order, suffice to judge it.

    A streak is settled by an outcome that breaks it, an alert by a success.
    """
    has_break, has_success = False, RECOVERED not in rule.triggers
    for status in earlier:
        has_break = has_break or rule.is_break(status)
        has_success = has_success or status == Status.SUCCESS
        if has_break and has_success:
            return True
    return False


def held_back(rule: Rule, *, at: datetime, last_reported_at: datetime | None) -> bool:
    """Return whether the cooldown suppresses a message.

    Alerts are compared with alerts, `recovered` with `recovered`: an alert does not suppress the recovery.

    Args:
        at: time of the event.
        last_reported_at: time of the event of the last message that was not suppressed, for the same task.
    """
    return last_reported_at is not None and abs(at - last_reported_at) < timedelta(seconds=rule.cooldown)
