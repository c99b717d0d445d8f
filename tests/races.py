"""Two transactions one within the other: what a lock must prevent, at the same place each time and not by chance."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

BLOCKED = 0.5  # seconds; who has not ended by then waits for a lock
PATIENCE = 60  # seconds; who needs longer hangs


class _Pause:
    """Stops the thread of a connection once, after its `number`th statement that matches."""

    def __init__(self, pattern: str, number: int) -> None:
        self._pattern, self._left = re.compile(pattern), number
        self.reached, self.over = threading.Event(), threading.Event()

    def __call__(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        result = execute(sql, *arguments)
        if self._left and self._pattern.search(sql):
            self._left -= 1
            if not self._left:
                self.reached.set()
                self.over.wait(BLOCKED)
        return result


def interleaved(
    first: Callable[[], Any], second: Callable[[], Any], *, after: str, number: int = 1
) -> list[Any]:
    """Let `first` begin, do all of `second` that no lock holds up, let `first` end; return their results, or errors.

    Args:
        after: a regular expression; `first` is stopped after the `number`th of its statements that matches.
    """
    pause, results = _Pause(after, number), [None, None]

    def run(place: int, act: Callable[[], Any]) -> None:
        try:
            results[place] = act()
        except Exception as error:
            results[place] = error
        finally:
            connection.close()

    def begin() -> None:
        with connection.execute_wrapper(pause):
            run(0, first)

    def interrupt() -> None:
        run(1, second)
        pause.over.set()

    threads = [threading.Thread(target=begin, daemon=True), threading.Thread(target=interrupt, daemon=True)]
    threads[0].start()
    assert pause.reached.wait(PATIENCE), f"the statement never came: {results[0]!r}"
    threads[1].start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "a transaction hangs"
    return results
