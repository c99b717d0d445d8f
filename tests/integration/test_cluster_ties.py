"""The processes of a cluster end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal

from scheduler.processes.cluster import die_with_parent

fork = multiprocessing.get_context("fork")


def _tied_late(parent: int, ready: int, answer: int) -> None:
    death = select.poll()
    death.register(os.pidfd_open(parent), select.POLLIN)
    os.write(ready, b".")
    death.poll()
    die_with_parent()
    os.write(answer, b"lives")


def _start_child_and_die(answer: int) -> None:
    is_ready, ready = os.pipe()
    fork.Process(target=_tied_late, args=(os.getpid(), ready, answer)).start()
    os.read(is_ready, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_whose_parent_died_before_it_was_tied_to_it_ends() -> None:
    result, answer = os.pipe()
    parent = fork.Process(target=_start_child_and_die, args=(answer,))
    parent.start()
    os.close(answer)
    parent.join()

    with os.fdopen(result, "rb") as said:
        assert said.read() == b""  # its end of the pipe is closed, and it said nothing
