"""The tasks of the demonstration: definitions from config.json, and the profiles by which they are simulated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from scheduler.choices import Status
from scheduler.config_file import TaskSpec, read_config

CONFIG = Path(__file__).with_name("config.json")


@dataclass(frozen=True)
class Spell:
    """A period, in days before now, in which a task behaves differently; `until` 0 means up to the present."""

    since: float
    until: float
    status: Status
    share: float = 1.0


@dataclass(frozen=True)
class Profile:
    """The behaviour of a task.

    Attributes:
        seconds: typical duration at the end of the history.
        drift: share of it that grew over the history.
        spread: sigma of the lognormal noise.
        failing: probability of a business failure, and of a technical failure per attempt.
        error: output of the script when it fails, and its exit code for a technical failure.
        present: the present state: nothing, a running execution, or a failed one that waits for its retry.
    """

    seconds: float
    drift: float = 0.0
    spread: float = 0.15
    business: float = 0.0
    technical: float = 0.0
    exit_code: int = 2
    error: str = "error: connection reset by peer"
    spells: tuple[Spell, ...] = ()
    present: Literal["", "running", "retrying"] = ""


@dataclass(frozen=True)
class DemoTask:
    """A task with its profile; `earlier` are former values of fields, which create a revision."""

    spec: TaskSpec
    profile: Profile
    earlier: dict[str, Any] = field(default_factory=dict)


PROFILES = {
    "order_sync": Profile(
        38,
        drift=0.5,
        technical=0.03,
        error="error: shop API answered 502 Bad Gateway",
        spells=(Spell(1.2, 1.14, Status.TECHNICAL_FAILURE),),
    ),
    "backup_database": Profile(
        1260,
        drift=0.6,
        exit_code=28,
        error="pg_dump: error: could not write to output file: No space left on device",
        spells=(Spell(2.9, 0, Status.TECHNICAL_FAILURE),),
    ),
    "verify_backup": Profile(210, drift=0.4),
    "health_probe": Profile(
        1.4,
        spread=0.5,
        technical=0.01,
        exit_code=7,
        error="probe: GET / timed out after 10 s",
        spells=(Spell(4.2, 4.05, Status.TECHNICAL_FAILURE),),
    ),
    "stock_check": Profile(
        9,
        business=0.12,
        error="SKU 10422 coffee: 3 left, 20 needed",
        spells=(Spell(0.4, 0, Status.BUSINESS_FAILURE),),
    ),
    "nightly_export": Profile(
        420, drift=0.3, technical=0.04, error="error: lost connection to server during query"
    ),
    "clean_orders": Profile(95, business=0.04, error="12 orders without a customer"),
    "clean_customers": Profile(62),
    "load_warehouse": Profile(540, drift=0.8, spread=0.2),
    "sales_report": Profile(48),
    "daily_brief_cn": Profile(33, technical=0.03, error="错误：模板缺少字段 “区域”"),
    "refresh_dashboards": Profile(120),
    "mail_digest": Profile(16, technical=0.05, error="smtp: 421 service not available"),
    "rotate_logs": Profile(4, spread=0.4),
    "price_feed": Profile(75, spread=0.5, technical=0.05, error="feed: supplier file is empty"),
    "image_resize": Profile(380, spread=0.8, present="running"),
    "currency_rates": Profile(
        5, technical=0.08, error="error: rates for CNY are missing", present="retrying"
    ),
    "invoice_run": Profile(900, drift=0.2),
    "ledger_close": Profile(2400),
    "search_index": Profile(660, drift=1.4, spread=0.25, error="index: shard 3 does not answer"),
    "certificate_check": Profile(3, business=0.1, error="shop.example expires in 12 days"),
    "vulnerability_scan": Profile(5200, spread=0.2),
    "user_cleanup": Profile(27, spread=0.3),
    "legacy_ftp": Profile(22, technical=0.3, error="ftp: 530 login incorrect"),
    "cache_warmer": Profile(140, spread=0.3, present="running"),
}
EARLIER: dict[str, dict[str, Any]] = {
    "order_sync": {"task_timeout": 120},
    "backup_database": {"task_schedule": "0 3 * * *", "task_retry": 0},
    "legacy_ftp": {"task_enabled": True},
}


def demo_tasks(count: int = 25) -> list[DemoTask]:
    """Return `count` tasks: those of config.json, then numbered variants of them without rules."""
    tasks = [
        DemoTask(spec, PROFILES[spec["task_id"]], EARLIER.get(spec["task_id"], {}))
        for spec in read_config(CONFIG).specs
    ]
    kept = tasks[:count]
    names = {task.spec["task_id"] for task in kept}
    kept = [_with_upstreams_in(task, names) for task in kept]
    for number in range(len(kept), count):
        model = tasks[number % len(tasks)]
        copy = cast(
            TaskSpec,
            {
                **model.spec,
                "task_id": f"{model.spec['task_id'][:56]}_{number}",
                "task_name": f"{model.spec['task_name']} {number}",
                "task_dependencies": [],
                "task_notify": [],
                "task_deadline": None,
                "task_schedule": _moved(model.spec["task_schedule"] or "20 4 * * *", number),
            },
        )
        kept.append(DemoTask(copy, Profile(model.profile.seconds, business=0.01, technical=0.01)))
    return kept


def _with_upstreams_in(task: DemoTask, names: set[str]) -> DemoTask:
    spec = dict(task.spec)
    spec["task_dependencies"] = [name for name in task.spec["task_dependencies"] if name in names]
    return DemoTask(cast(TaskSpec, spec), task.profile, task.earlier)


def _moved(schedule: str, number: int) -> str:
    """Return the schedule shifted by some minutes, so that variants do not all start together."""
    minute, *rest = schedule.split()
    return " ".join([str(number * 7 % 60) if minute.isdigit() else minute, *rest])
