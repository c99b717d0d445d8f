"""One execution that writes a gigabyte: neither the memory of the worker nor the disk of the spool notices."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.models import Execution
from scheduler.runner import Spool
from scheduler.selectors.logs import LARGEST_PIECE, read_log
from scheduler.services.runs import request_run
from tests.stack import Stack, roles, wait_until, whole_pool

GIGABYTE = 1_000_000_000
MEBIBYTE = 1 << 20
LINES = "the first line\n", "the last line\n"
FLOOD = f"echo {LINES[0].strip()}; head -c {GIGABYTE} /dev/zero; echo; echo {LINES[1].strip()}"
SIZE = GIGABYTE + len("".join(LINES)) + 1


def highest_memory(pid: int) -> int:
    """Return the most bytes of memory that a process ever had. Source: proc_pid_status(5), VmHWM."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024


def disk_usage(folder: Path) -> int:
    """Return how many bytes of disk the files of a folder take at the moment."""
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


# Below 64 MiB on a host with a core to spare; more where the thread that gives space back gets its turn late, as
# beside other tests.
@pytest.mark.proves("G9")
@pytest.mark.parametrize("most", [256, pytest.param(64, marks=pytest.mark.campaign)])
def test_a_gigabyte_of_output_keeps_worker_and_spool_small(stack: Stack, make_task: Any, most: int) -> None:
    spool = settings.SCHEDULER_SPOOL_DIR
    if not Spool(spool).can_punch_holes():
        pytest.skip("the file system of temporary files cannot punch holes")
    worker = stack.start("worker")
    pids = whole_pool(worker)
    execution = request_run(
        make_task("flood", task_exec=FLOOD), trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC)
    )
    usages = []

    def has_ended() -> bool:
        usages.append(disk_usage(spool))
        return Execution.objects.get(pk=execution.pk).status not in ACTIVE

    wait_until(has_ended, what="the end of the flood")

    ended = Execution.objects.get(pk=execution.pk)
    assert (ended.status, ended.exit_code, ended.log_size) == (Status.SUCCESS, 0, SIZE)
    assert roles(worker)["worker"] == pids, "a worker process died"
    assert max(highest_memory(pid) for pid in pids) < 150 * MEBIBYTE
    assert 0 < max(usages) < most * MEBIBYTE, max(usages)
    kept = sum(ended.log_pieces.values_list("size", flat=True))
    assert kept <= settings.SCHEDULER_LOG_LIMIT + 2 * LARGEST_PIECE
    text = read_log(ended, limit=SIZE).text
    assert text.startswith(LINES[0])
    assert text.endswith(LINES[1])
    assert f"\n[… {SIZE - kept} bytes left out …]\n" in text
