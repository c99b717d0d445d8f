"""How much processor time it takes to refuse what is too large: by API, import and form. Run by `make bench`."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from installation import installation, write_result

LIMIT_S = 1.0
TASK = {"task_id": "a", "task_name": "A", "task_exec": "true"}
MAIL = {"type": "email", "recipients": ["ops@example.org"]}
RULE = {"triggers": ["timeout"], "channels": [MAIL]}
CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "20,000 rules": lambda: {**TASK, "task_notify": [RULE] * 20_000},
    "20,000 channels": lambda: {**TASK, "task_notify": [{**RULE, "channels": [MAIL] * 20_000}]},
    "500,000 empty rules": lambda: {**TASK, "task_notify": [{}] * 500_000},
    "300,000 addresses": lambda: {
        **TASK,
        "task_notify": [{**RULE, "channels": [{"type": "email", "recipients": ["a@b.example"] * 300_000}]}],
    },
    "30,000 nested lists": lambda: {**TASK, "task_dependencies": [json.loads("[" * 29 + "]" * 29)] * 30_000},
    "800,000 upstreams": lambda: {**TASK, "task_dependencies": ["b"] * 800_000},
    "200,000 variables": lambda: {**TASK, "task_env": {f"K{i}": 1 for i in range(200_000)}},
    "200,000 unknown fields": lambda: {**TASK, **{f"x{i}": 1 for i in range(200_000)}},
}


def main() -> int:
    """Measure, print, write; 1 when a refusal takes longer than it may."""
    seconds: dict[str, float] = {}
    with installation() as folder:
        from django.contrib.auth.models import User
        from django.test import Client

        from scheduler.services.tokens import create_token

        owner = User.objects.create_superuser("owner", password="measured")
        site = Client()
        site.force_login(owner)
        headers = {"Authorization": f"Bearer {create_token(owner, name='bench')}"}
        for name, make in CASES.items():
            body = json.dumps(make())
            seconds[f"API, {name}"] = _measured(
                lambda body=body: (
                    site.post(
                        "/api/scheduler/tasks", body, content_type="application/json", headers=headers
                    ).status_code
                ),
                400,
            )
            seconds[f"import, {name}"] = _measured(lambda body=body: _import(folder, body), "refused")
        form = {
            "scope": "all", "rule": "r0", "r0-name": "x", "r0-triggers": ["timeout"] * 5_000,
            "r0-channel": [f"c{i}" for i in range(15_000)], "r0-c0-kind": "email",
            "r0-c0-recipients": "a@b.example\n" * 300_000,
        }  # fmt: skip
        address = "/admin/notifications/notificationrule/add/"
        seconds["form, a rule"] = _measured(lambda: site.post(address, form).status_code, 200)
    slowest = max(seconds, key=lambda name: seconds[name])
    for name, value in seconds.items():
        print(f"{value:6.2f} s  {name}")
    print(f"the slowest refusal took {seconds[slowest]:.2f} s; the limit is {LIMIT_S} s")
    write_result("refusals", {name: round(value, 3) for name, value in seconds.items()})
    return 0 if seconds[slowest] < LIMIT_S else 1


def _measured(work: Callable[[], object], expected: object) -> float:
    """Return the processor time of `work`, the second time: what is compiled once is no part of a refusal."""
    work()
    begin = time.process_time()
    found = work()
    seconds = time.process_time() - begin
    assert found == expected, found
    return seconds


def _import(folder: Path, body: str) -> str:
    from django.core.management import call_command

    file = folder / "config.json"
    file.write_text(body)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            call_command("import_config", str(file))
    except SystemExit:
        return "refused"
    return "imported"


if __name__ == "__main__":
    sys.exit(main())
