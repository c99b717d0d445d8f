"""How late tasks start while messages go to channels that hang, refuse, dribble and flood, and without any message.

Two workers, SQLite, a real dispatcher and cluster. Tasks are due at every second; some of them fail and tell all of
the channels. Prints the lateness from the slot to `started_at` both times, and what became of the deliveries: each
must end as sent or as failed, with its reason. Run by `make bench`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from installation import ROOT, installation, started, wait_until, write_result

sys.path.insert(0, str(ROOT))
from tests.sinks import Mailbox, Sink, answer, dribble, flood, mail_server, reset, silence

TASKS, FAILING = 20, 4
SECONDS = 20
EVERY = 5  # failures in a row that cause messages
LIMIT_S = 0.5  # by which broken channels may make the 95th percentile worse
DEADLINE, ATTEMPTS = 3, 2
GIGABYTE = 1_000_000_000


class Post(Mailbox):
    """A mail server that treats a message as the name of its recipient says."""

    async def handle_RCPT(  # noqa: N802 - the name is that of aiosmtpd
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """Refuse one recipient for good."""
        if address.startswith("refuses@"):
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Take the message, or hang, or break off without a reply."""
        if envelope.rcpt_tos[0].startswith("hangs@"):
            await asyncio.Event().wait()
        if envelope.rcpt_tos[0].startswith("drops@"):
            server.transport.abort()
        return "250 OK"


HOOKS = {
    "webhook: takes it": answer("200 OK"),
    "webhook: 500": answer("500 Internal Server Error"),
    "webhook: 429": answer("429 Too Many Requests", "Retry-After: 20"),
    "webhook: redirect": answer("302 Found", "Location: http://127.0.0.1:1/"),
    "webhook: says nothing": silence,
    "webhook: resets": reset,
    "webhook: dribbles": dribble(b"HTTP/1.1 200 OK\r\nX-Head: ", b"x"),
    "webhook: 1 GB": flood(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIGABYTE, GIGABYTE),
}
MAILS = {
    "mail: takes it": "takes",
    "mail: hangs": "hangs",
    "mail: refuses": "refuses",
    "mail: drops": "drops",
}


@contextmanager
def channels() -> Iterator[tuple[int, dict[str, dict[str, Any]]]]:
    """Run the servers; yield the port of the mail server and the channels by what they do."""
    with ExitStack() as servers:
        port = servers.enter_context(mail_server(Post()))
        found: dict[str, dict[str, Any]] = {
            name: {"type": "email", "recipients": [f"{word}@example.org"]} for name, word in MAILS.items()
        }
        for name, behave in HOOKS.items():
            sink = servers.enter_context(Sink(behave))
            found[name] = {"type": "webhook", "url": sink.url}
        yield port, found


def set_tasks(rules: list[dict[str, Any]], *, enabled: bool) -> None:
    """Store the tasks, due at every second; those that fail have the rules."""
    from scheduler.config_file import validate_task
    from scheduler.models import Task
    from scheduler.services.tasks import save_task

    for number in range(TASKS):
        is_failing = number < FAILING
        spec = validate_task(
            {
                "task_id": f"t{number}",
                "task_name": f"Task {number}",
                "task_exec": "exit 3" if is_failing else "true",
                "task_schedule": "* * * * * *",
                "task_timezone": "UTC",
                "task_enabled": enabled,
                "task_notify": rules if is_failing else [],
            }
        )
        save_task(
            spec, task=Task.objects.filter(task_id=f"t{number}").first(), user=None, now=datetime.now(UTC)
        )


def lateness(rules: list[dict[str, Any]]) -> dict[str, float]:
    """Let the tasks run for a while and return percentiles of the seconds from slot to start."""
    from scheduler.choices import ACTIVE
    from scheduler.models import Execution

    begin = datetime.now(UTC) + timedelta(seconds=2)
    set_tasks(rules, enabled=True)
    time.sleep(SECONDS + 2)
    set_tasks(rules, enabled=False)
    wait_until(lambda: not Execution.objects.filter(status__in=ACTIVE).exists())
    ran = Execution.objects.filter(scheduled_for__gte=begin, started_at__isnull=False)
    late = [(at - slot).total_seconds() for slot, at in ran.values_list("scheduled_for", "started_at")]
    cuts = statistics.quantiles(late, n=100, method="inclusive")
    return {
        "starts": len(late),
        "p50": round(cuts[49], 3),
        "p95": round(cuts[94], 3),
        "p99": round(cuts[98], 3),
        "max": round(max(late), 3),
    }


def ends(names: dict[str, str]) -> list[dict[str, Any]]:
    """Wait until each delivery has ended; return how, by what its channel does."""
    from notifications.models import Delivery

    wait_until(lambda: not Delivery.objects.filter(state__in=("pending", "sending")).exists(), every=0.5)
    rows: dict[str, list[Delivery]] = defaultdict(list)
    for row in Delivery.objects.select_related("channel").order_by("pk"):
        rows[names[row.target]].append(row)
    return [
        {
            "channel": name,
            "deliveries": len(rows[name]),
            "sent": sum(row.state == "sent" for row in rows[name]),
            "failed": sum(row.state == "failed" for row in rows[name]),
            "attempts": max((row.attempts for row in rows[name]), default=0),
            "reason": next((row.reason for row in rows[name] if row.reason), ""),
        }
        for name in names.values()
    ]


def measure() -> dict[str, Any]:
    """Measure without and with messages to the channels."""
    from django.conf import settings

    from notifications.models import target_of

    with channels() as (port, by_name), ExitStack() as processes:
        os.environ |= {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(port)}
        assert settings.SCHEDULER_WEBHOOK_ALLOW == ["127.0.0.1"]
        processes.enter_context(started("worker", "cluster"))
        processes.enter_context(started("dispatcher", "dispatcher"))
        rule = {"triggers": ["technical_failure"], "threshold": EVERY, "channels": list(by_name.values())}
        without = lateness([])
        within = lateness([rule])
        names = {
            target_of(channel["type"], {k: v for k, v in channel.items() if k != "type"}): name
            for name, channel in by_name.items()
        }
        return {"without": without, "with": within, "limit_s": LIMIT_S, "deliveries": ends(names)}


def main() -> int:
    """Measure, print, write; 1 when broken channels delay starts, or a delivery ended without a reason."""
    with installation(
        SCHEDULER_WORKERS="2",
        SCHEDULER_WEBHOOK_ALLOW="127.0.0.1",
        SCHEDULER_NOTIFY_DEADLINE=str(DEADLINE),
        SCHEDULER_NOTIFY_ATTEMPTS=str(ATTEMPTS),
        SCHEDULER_NOTIFY_HOURLY_LIMIT="100000",
        LOG_LEVEL="ERROR",
    ):
        result = measure()
    print(f"{TASKS} tasks due at every second for {SECONDS} s; seconds from the slot to the start")
    for name in ("without", "with"):
        print(
            f"  {name:8} messages   " + "  ".join(f"{key} {value:g}" for key, value in result[name].items())
        )
    print(f"what became of the messages, with {DEADLINE} s and {ATTEMPTS} attempts for each")
    for row in result["deliveries"]:
        print(
            f"  {row['channel']:22} sent {row['sent']:3}  failed {row['failed']:3}  "
            f"attempts {row['attempts']}  {row['reason'][:70]}"
        )
    write_result("notifications", result)
    slower = result["with"]["p95"] - result["without"]["p95"]
    print(f"  p95 is {slower:+.3f} s with messages; the limit is {LIMIT_S:g} s")
    is_told = all(
        row["deliveries"]
        and row["sent"] + row["failed"] == row["deliveries"]
        and (row["reason"] or not row["failed"])
        for row in result["deliveries"]
    )
    return 0 if slower < LIMIT_S and is_told else 1


if __name__ == "__main__":
    sys.exit(main())
