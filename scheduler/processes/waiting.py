"""Waiting without polling, for the loop of a process: a signal ends it, or a descriptor that becomes readable."""

from __future__ import annotations

import select
import signal
import socket


class Waiter:
    """Waits in the main thread; a signal that has a handler in Python ends each wait, also one that came just before.

    Source: signal.set_wakeup_fd of Python. Without it, Python resumes the wait after the handler (PEP 475).
    """

    def __init__(self) -> None:
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def wait(self, seconds: float, *descriptors: int) -> bool:
        """Wait at most `seconds`; return whether one of `descriptors` became readable."""
        poller = select.poll()
        for descriptor in (self._woken.fileno(), *descriptors):
            poller.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poller.poll(max(seconds, 0) * 1000)}
        if self._woken.fileno() in ready:
            self._woken.recv(4096)
        return not ready.isdisjoint(descriptors)

    def close(self) -> None:
        """Stop listening to signals."""
        signal.set_wakeup_fd(-1)
        self._woken.close()
        self._waker.close()
