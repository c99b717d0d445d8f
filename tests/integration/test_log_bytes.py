"""Logs are read in the encoding of their task, and downloads give the bytes that the command wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from scheduler.choices import Trigger
from scheduler.models import Execution, Process, Task
from scheduler.processes.supervisor import Supervisor
from scheduler.runner import Spool
from scheduler.selectors.logs import read_log, read_log_bytes
from scheduler.services import heartbeats
from scheduler.services.runs import request_run

pytestmark = pytest.mark.django_db(transaction=True)

CHINESE = "备份完成：共 12 个文件\n错误 €\U00020bb7\n"


def run(task: Task) -> Execution:
    """Run a task in a worker within this process."""
    spool = Spool(settings.SCHEDULER_SPOOL_DIR)
    now = datetime.now(UTC)
    process = heartbeats.register(
        Process.Kind.WORKER, host_id=spool.host_id, queue="default", slots=4, now=now
    )
    execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=now)
    Supervisor(process, spool).run()
    execution.refresh_from_db()
    return execution


def make(make_task: Any, data: bytes, encoding: str) -> Task:
    path = settings.SCHEDULER_TASKS_DIR.parent / "output.bin"
    path.write_bytes(data)
    task: Task = make_task("a", task_exec="cat output.bin", task_encoding=encoding)
    return task


def downloaded(site: Client, execution: Execution) -> list[bytes]:
    page = site.get(reverse("admin:scheduler_execution_log", args=[execution.pk]))
    api = site.get(f"/api/scheduler/executions/{execution.pk}/log", headers={"Accept": "text/plain"})
    return [b"".join(page.streaming_content), api.content]


@pytest.mark.parametrize(
    ("encoding", "data", "text", "keeps_bytes"),
    [
        ("", CHINESE.encode(), CHINESE, False),
        ("", b"caf\xe9 \x00 end", "caf\ufffd \u2400 end", True),
        ("gb18030", CHINESE.encode("gb18030"), CHINESE, False),
        ("gb18030", b"\xff\n", "\ufffd\n", True),
        ("shift_jis", "バックアップ完了\n".encode("shift_jis"), "バックアップ完了\n", False),
        ("utf-16", "готово\n".encode("utf-16"), "готово\n", False),
        ("latin-1", bytes(range(1, 256)), bytes(range(1, 256)).decode("latin-1"), False),
    ],
)
def test_log_is_text_of_the_encoding_and_the_download_gives_the_bytes(
    admin_client: Client, make_task: Any, encoding: str, data: bytes, text: str, keeps_bytes: bool
) -> None:
    execution = run(make(make_task, data, encoding))

    assert read_log(execution).text == text
    assert downloaded(admin_client, execution) == [data, data]
    assert execution.log_pieces.filter(raw__isnull=False).exists() == keeps_bytes
    assert execution.log_size == len(data)


def test_download_names_the_encoding(admin_client: Client, make_task: Any) -> None:
    execution = run(make(make_task, "好\n".encode("gb18030"), "gb18030"))

    page = admin_client.get(reverse("admin:scheduler_execution_log", args=[execution.pk]))
    api = admin_client.get(f"/api/scheduler/executions/{execution.pk}/log", headers={"Accept": "text/plain"})

    assert page["Content-Type"] == api["Content-Type"] == "text/plain; charset=gb18030"


@pytest.mark.parametrize("encoding", ["", "gb18030"])
def test_long_output_is_cut_between_characters_and_given_back(
    admin_client: Client, make_task: Any, settings: Any, encoding: str
) -> None:
    settings.SCHEDULER_LOG_LIMIT = 100_000
    line = "备份完成：共文件\n" if encoding else "备份完成：共文件 ok\n"
    data = line.encode(encoding or "utf-8") * 20_000

    execution = run(make(make_task, data, encoding))

    whole, api = downloaded(admin_client, execution)
    head, gap, tail = whole.partition("\n[…".encode(encoding or "utf-8"))
    tail = tail.partition(b"]\n")[2]
    assert whole == api
    assert data.startswith(head) and data.endswith(tail) and gap
    # A piece that reaches into the tail stays whole.
    assert len(head) == 50_000 and 50_000 <= len(tail) <= 50_000 + 70_000
    text = read_log(execution, tail=20_000).text
    assert set(text.split("\n")[1:-1]) == {line.strip()}


def test_part_of_a_log_is_exact_in_bytes(make_task: Any) -> None:
    data = b"0123\xff56789" * 10
    execution = run(make(make_task, data, ""))

    assert b"".join(read_log_bytes(execution, offset=7)[1]) == data[7:]
    assert b"".join(read_log_bytes(execution, tail=13)[1]) == data[-13:]


def test_download_follows_the_encoding_that_the_execution_was_read_in(
    admin_client: Client, make_task: Any
) -> None:
    data = "好\n".encode("gb18030")
    execution = run(make(make_task, data, "gb18030"))
    admin_client.patch("/api/scheduler/tasks/a", {"task_encoding": "big5"}, content_type="application/json")

    assert downloaded(admin_client, execution) == [data, data]
