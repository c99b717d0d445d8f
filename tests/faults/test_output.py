"""What commands write arrives, in order and to its end, as a pipe brings it, whoever is killed or stopped meanwhile."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest

from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.models import Execution
from scheduler.runner import MARKER
from scheduler.selectors.logs import read_log
from scheduler.services.runs import request_run
from tests.stack import Stack, kill_cluster, roles, wait_until, whole_pool

#: What scripts do to their output, by a word for it: text, and what the log is.
CASES = {
    "a redirection to /dev/stderr": ("echo 1; echo 2 >/dev/stderr; echo 3", "1\n2\n3\n"),
    "tee to /dev/stderr": ("echo 1; echo 2 | tee /dev/stderr; echo 3", "1\n2\n2\n3\n"),
    "other names of the same": (
        "echo 1; echo 2 >/proc/self/fd/1; echo 3 >>/dev/stderr; echo 4 >/dev/fd/2; echo 5 | cat >/dev/stdout; echo 6",
        "1\n2\n3\n4\n5\n6\n",
    ),
    "a shell that points its output elsewhere and back": (
        "echo 1; exec 3>&1 >/dev/null; echo lost; exec >/dev/fd/3; echo 2; exec 1>&3 2>&1; echo 3 >&2",
        "1\n2\n3\n",
    ),
    "a line without an end": ("echo 1; printf 2 >/dev/stderr", "1\n2"),
    "curl to /dev/stdout": (
        "echo 1; echo 2 >file; curl -s -o /dev/stdout file://$PWD/file || cat file >/dev/stdout; echo 3",
        "1\n2\n3\n",
    ),
    "dd to /dev/stdout": ("echo 1; echo 2 | dd of=/dev/stdout status=none; echo 3", "1\n2\n3\n"),
    "python that opens /dev/stdout": (
        "echo 1; python -c \"open('/dev/stdout', 'w').write('2\\\\n')\"; echo 3",
        "1\n2\n3\n",
    ),
    "a shell that truncates": ("echo 1; : >/dev/stdout; echo 3", "1\n3\n"),
    "tee in a process substitution": (
        "bash -c 'exec > >(tee -a copy) 2>&1; for i in $(seq 200); do echo $i; done'",
        "".join(f"{i}\n" for i in range(1, 201)),
    ),
    "a loop that stamps": (
        'bash -c \'exec > >(while IFS= read -r line; do echo "at $line"; done) 2>&1;'
        " for i in $(seq 200); do echo $i; done'",
        "".join(f"at {i}\n" for i in range(1, 201)),
    ),
    "both ends": (
        "for i in 1 2 3; do echo out $i; echo err $i >&2; done",
        "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n",
    ),
}


def run(make_task: Any, name: str, text: str, **fields: Any) -> Execution:
    """Queue an execution of a text."""
    task = make_task(name, task_exec=text, task_concurrency="allow", **fields)
    return request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))


def ended(execution: Execution) -> Execution:
    """Wait until an execution has ended, and return it."""
    wait_until(lambda: Execution.objects.get(pk=execution.pk).status not in ACTIVE, what="the end")
    return Execution.objects.get(pk=execution.pk)


def test_every_line_arrives_in_order_whatever_a_script_does_to_its_output(
    stack: Stack, make_task: Any, tmp_path: Path
) -> None:
    stack.start("worker")
    rounds = 3
    made = [
        (case, run(make_task, f"case{number}-{turn}", CASES[case][0]))
        for number, case in enumerate(CASES)
        for turn in range(rounds)
    ]

    logs = [(case, read_log(ended(execution)).text) for case, execution in made]

    assert [log for case, log in logs] == [CASES[case][1] for case, _ in logs]
    statuses = set(Execution.objects.values_list("status", flat=True))
    assert statuses == {Status.SUCCESS}


# --- as it comes ----------------------------------------------------------------------------------


def test_a_line_is_in_the_log_within_a_second_however_long_the_command_was_silent(
    stack: Stack, make_task: Any, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    stack.start("worker")
    text = f"exec 3<>{gate}; echo began; while read -r line <&3; do echo $line; [ $line != last ] || exit 0; done"
    execution = run(make_task, "talks", text)
    wait_until(lambda: "began" in read_log(execution).text, what="its beginning")
    waits = []

    for number, silence in enumerate((0, 0.2, 1.5, 3, 0, 0)):
        time.sleep(silence)  # what it is about: output may be looked for less often by then
        written = time.monotonic()
        gate.write_text(f"line{number}\n")
        wait_until(lambda line=f"line{number}\n": line in read_log(execution).text, what="the line")
        waits.append(time.monotonic() - written)
    gate.write_text("last\n")

    assert ended(execution).status == Status.SUCCESS
    assert max(waits) < 1, waits


def test_the_newest_line_of_a_command_that_never_pauses_is_in_the_log_within_a_second(
    stack: Stack, make_task: Any, tmp_path: Path
) -> None:
    stack.start("worker")
    stop = tmp_path / "stop"
    program = (
        f"import os, time\nwhile not os.path.exists({str(stop)!r}): print(f'{{time.time():.3f}}', 'x' * 80)"
    )
    execution = run(make_task, "flood", f"python -u - <<'E'\n{program}\nE\n")
    wait_until(lambda: read_log(execution).text, what="its beginning")
    lags = []

    for _ in range(10):
        seen = read_log(execution, tail=1000).text
        wait_until(lambda seen=seen: read_log(execution, tail=1000).text != seen, what="more")
        stamp = read_log(execution, tail=1000).text.splitlines()[-2].split()[0]
        lags.append(time.time() - float(stamp))
    stop.touch()

    assert ended(execution).status == Status.SUCCESS
    assert median(lags) < 1, lags


# --- what is left behind --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("setsid -f sleep 60; echo done", 2.5),
        ("sleep 60 & echo done", 3.5),
        ("setsid -f sh -c 'while :; do echo left behind; done'; echo done", 3.5),
    ],
)
def test_a_process_left_behind_with_the_output_open_delays_the_outcome_by_two_seconds_at_the_most(
    stack: Stack, make_task: Any, text: str, longest: float
) -> None:
    worker = stack.start("worker")
    whole_pool(worker)

    execution = ended(run(make_task, "left", text))

    assert execution.status == Status.SUCCESS
    assert "done\n" in read_log(execution, limit=1 << 22).text
    assert (execution.finished_at - execution.started_at).total_seconds() < longest
    for process in left_behind(execution):
        process.kill()


def test_what_is_left_behind_is_not_held_up_and_its_output_is_dropped(
    stack: Stack, make_task: Any, tmp_path: Path
) -> None:
    worker = stack.start("worker")
    whole_pool(worker)
    written = tmp_path / "written"

    execution = ended(
        run(
            make_task,
            "left",
            f"setsid -f sh -c 'sleep 3; head -c 1000000 /dev/zero; echo >{written}'; echo done",
        )
    )

    assert read_log(execution).text == "done\n"
    wait_until(written.exists, seconds=20, what="the end of what was left behind")
    assert read_log(Execution.objects.get(pk=execution.pk)).text == "done\n"


def test_the_outermost_process_reaps_what_commands_leave_behind(
    stack: Stack, make_task: Any, tmp_path: Path
) -> None:
    worker = stack.start("worker")
    gone = tmp_path / "gone"

    ended(run(make_task, "left", f"setsid -f sh -c 'sleep 0.5; echo $$ >{gone}' >/dev/null 2>&1"))

    wait_until(gone.exists, what="the end of what was left behind")
    pid = int(wait_until(gone.read_text, what="its pid"))
    wait_until(lambda: not psutil.pid_exists(pid), seconds=5, what="its reaping")
    assert "zombie" not in {child.status() for child in psutil.Process(worker.pid).children()}


def left_behind(execution: Execution) -> list[psutil.Process]:
    """Return the processes that carry the mark of an execution."""
    mark = f"{execution.pk}-{Execution.objects.get(pk=execution.pk).claim}"
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


# --- restarts -------------------------------------------------------------------------------------

WORK = (
    "until [ -e gate ]; do sleep 0.05; done; for i in $(seq 2000); do echo $i; done; echo over >>over; exit 7"
)
WHOLE = "began\n" + "".join(f"{i}\n" for i in range(1, 2001))
TEXTS = {
    "plain": "sh work.sh",
    "exec": "exec sh work.sh",
    "exec without the mark": "exec env -i PATH=$PATH sh work.sh",
    "its own trap": "trap 'true' EXIT; . ./work.sh",
    "a library with a trap": ". ./lib.sh; . ./work.sh",
    "a process substitution": "bash -c 'exec > >(while IFS= read -r line; do echo \"$line\"; done) 2>&1; . ./work.sh'",
}


@pytest.fixture
def gated(make_task: Any, settings: Any) -> dict[str, Path]:
    """Queue an execution of each text; they go on when a file `gate` is in the folder of their task."""
    folders = {}
    for number, (name, text) in enumerate(TEXTS.items()):
        folder = settings.SCHEDULER_TASKS_DIR / f"gated{number}"
        folder.mkdir()
        (folder / "work.sh").write_text(f"echo began; {WORK}")
        (folder / "lib.sh").write_text("trap 'rm -f lock' EXIT\n")
        run(make_task, folder.name, text)
        folders[name] = folder
    return folders


def open_gates(folders: dict[str, Path]) -> None:
    """Let the commands go on to their end, and wait for it."""
    for folder in folders.values():
        (folder / "gate").touch()
    wait_until(lambda: all((f / "over").exists() for f in folders.values()), what="the end of the commands")
    wait_until(
        lambda: not any(left_behind(execution) for execution in Execution.objects.all()),
        what="the end of the shells",
    )


def have_begun() -> bool:
    return Execution.objects.filter(log_pieces__text__startswith="began").count() == len(TEXTS)


def outcomes() -> dict[str, tuple[str, int | None, str, bool]]:
    """Return status, exit code and reason of each text, and whether its log is whole."""
    wait_until(lambda: not Execution.objects.filter(status__in=ACTIVE).exists(), what="the end of all")
    found = Execution.objects.order_by("task__task_id")
    return {
        name: (e.status, e.exit_code, e.reason, read_log(e).text == WHOLE)
        for name, e in zip(TEXTS, found, strict=True)
    }


EXPECTED = dict.fromkeys(TEXTS, (Status.TECHNICAL_FAILURE, 7, "exit code 7", True))


def test_commands_that_end_between_stop_and_start_lose_neither_a_line_nor_their_code(
    stack: Stack, gated: dict[str, Path]
) -> None:
    worker = stack.start("worker")
    wait_until(have_begun, what="the beginning of all")

    stack.stop(worker)
    open_gates(gated)
    stack.start("worker")

    assert outcomes() == EXPECTED


def test_commands_that_go_on_over_a_restart_lose_neither_a_line_nor_their_code(
    stack: Stack, gated: dict[str, Path]
) -> None:
    worker = stack.start("worker")
    wait_until(have_begun, what="the beginning of all")

    for _ in range(2):
        stack.stop(worker)
        worker = stack.start("worker")
        whole_pool(worker)
    open_gates(gated)

    assert outcomes() == EXPECTED


def test_commands_that_end_while_the_cluster_is_dead_lose_neither_a_line_nor_their_code(
    stack: Stack, gated: dict[str, Path]
) -> None:
    worker = stack.start("worker")
    wait_until(have_begun, what="the beginning of all")
    cluster = roles(worker)["main"][0]

    os.kill(cluster, signal.SIGKILL)
    open_gates(gated)

    assert outcomes() == EXPECTED


def test_codes_hold_though_everything_is_killed(stack: Stack, gated: dict[str, Path]) -> None:
    worker = stack.start("worker")
    wait_until(have_begun, what="the beginning of all")

    kill_cluster(worker)
    open_gates(gated)
    stack.start("worker")

    assert {name: found[:3] for name, found in outcomes().items()} == {n: e[:3] for n, e in EXPECTED.items()}


def test_a_holder_ends_with_what_it_holds(stack: Stack, gated: dict[str, Path]) -> None:
    worker = stack.start("worker")
    wait_until(have_begun, what="the beginning of all")

    stack.stop(worker)
    (note,) = (stack.folder / "spool" / "holders").iterdir()
    holder = psutil.Process(int(note.name))
    assert holder.name() == "schedsite-hold"
    open_gates(gated)

    holder.wait(20)
    stack.start("worker")
    assert outcomes() == EXPECTED
    wait_until(lambda: not note.exists(), what="the end of its note")


def test_a_shell_that_is_killed_while_no_worker_runs_is_not_lost(
    stack: Stack, make_task: Any, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    worker = stack.start("worker")
    execution = run(make_task, "killed", f"echo began; cat {gate}; kill -9 $$")
    wait_until(lambda: Execution.objects.get(pk=execution.pk).log_pieces.exists(), what="its beginning")

    os.kill(roles(worker)["main"][0], signal.SIGKILL)
    gate.write_text("last\n")

    found = ended(execution)
    assert (found.exit_code, found.reason) == (-signal.SIGKILL, "killed by SIGKILL")
    assert read_log(found).text == "began\nlast\n"


def test_terminate_stops_commands_with_their_grace_and_tries_again(stack: Stack, make_task: Any) -> None:
    stack.env["SCHEDULER_STOP"] = "terminate"
    worker = stack.start("worker")
    text = "trap 'echo bye; exit 0' TERM; echo began; while :; do sleep 0.05; done"
    execution = run(make_task, "polite", text, task_retry=1, task_retry_interval=3600)
    deaf = run(make_task, "deaf", "trap '' TERM; echo began; while :; do sleep 0.05; done")
    for one in (execution, deaf):
        wait_until(lambda pk=one.pk: Execution.objects.get(pk=pk).log_pieces.exists(), what="its beginning")

    assert stack.stop(worker) == 0

    reason = "stopped with its worker (SCHEDULER_STOP=terminate)"
    found = Execution.objects.get(pk=execution.pk)
    assert (found.status, found.reason) == (Status.TECHNICAL_FAILURE, reason)
    assert read_log(found).text.endswith("bye\n")
    assert Execution.objects.get(task=found.task, attempt=2).status == Status.QUEUED
    assert Execution.objects.get(pk=deaf.pk).reason == reason
    assert not left_behind(execution) + left_behind(deaf)
    assert not (stack.folder / "spool" / "holders").exists()
