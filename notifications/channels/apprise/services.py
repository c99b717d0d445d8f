"""Checks URLs with Apprise in a separate process: its plugins take one second and 50 MB to load.

The process is started at the first check and stopped after a period without checks. It sends nothing and has the same
restrictions as the process that sends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.conf import settings

logger = logging.getLogger(__name__)

ANSWERED_WITHIN = 30.0  # seconds
ENDS_AFTER = 30.0  # idle seconds
_PROCESS = [sys.executable, "-s", "-m", "notifications.channels.apprise.process"]
# Passed from the site's environment, which contains secrets and possibly proxies.
_PASSED_ON = ("LANG", "LC_ALL", "TZ", "PATH", "SSL_CERT_FILE")


def open_process(*arguments: str) -> subprocess.Popen[str]:
    """Start an Apprise process with pipes for its input and output."""
    return subprocess.Popen(
        [*_PROCESS, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=settings.BASE_DIR,
        env=_environment(),
        start_new_session=True,
        text=True,
        encoding="utf-8",
    )


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if "SSL_CERT_FILE" in passed:  # the variable that requests reads
        passed["REQUESTS_CA_BUNDLE"] = passed["SSL_CERT_FILE"]
    return passed


@dataclass
class _Checker:
    """The check process and its lifetime; one check at a time."""

    services: tuple[str, ...] = ()
    _process: subprocess.Popen[str] | None = None
    _idle: threading.Timer | None = None
    _lock: Any = field(default_factory=threading.Lock)

    def ask(self, url: str | None) -> str:
        """Return the problem of a URL, or "" if it is valid; None only starts the process.

        Raises:
            OSError, ValueError: no response.
        """
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            killer = threading.Timer(ANSWERED_WITHIN, self._kill)
            killer.start()
            try:
                return self._asked(url)
            except (OSError, ValueError):
                self._kill()
                raise
            finally:
                killer.cancel()
                self._idle = threading.Timer(ENDS_AFTER, self.end)
                self._idle.daemon = True
                self._idle.start()

    def _asked(self, url: str | None) -> str:
        if self._process is None or self._process.poll() is not None:
            self._process = open_process("check")
            self.services = tuple(json.loads(self._line(self._process)))
        if url is None:
            return ""
        stdin = self._process.stdin
        if stdin is not None:
            stdin.write(json.dumps(url) + "\n")
            stdin.flush()
        return str(json.loads(self._line(self._process)))

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> str:
        return "" if process.stdout is None else process.stdout.readline()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """Terminate the process and wait for it."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                with contextlib.suppress(OSError), self._process:
                    pass
                self._process = None


_checker = _Checker()


def _forget() -> None:
    """Leave the inherited process to the parent after a fork; the inherited lock may be held forever."""
    global _checker
    _checker = _Checker()


os.register_at_fork(after_in_child=_forget)


def known_services() -> tuple[str, ...]:
    """Return the URL schemes that Apprise supports, or nothing if the process does not respond."""
    try:
        return _services()
    except (OSError, ValueError):
        logger.exception("the services of Apprise could not be listed; their names are not checked")
        return ()


@lru_cache(maxsize=1)
def _services() -> tuple[str, ...]:
    _checker.ask(None)
    return _checker.services


def missing_in(url: str) -> str:
    """Return why Apprise cannot parse a URL, without secrets; "" if it can or if the process does not respond."""
    try:
        return _missing_in(url)
    except (OSError, ValueError):
        logger.exception("Apprise could not be asked about a URL; it is not checked")
        return ""


@lru_cache(maxsize=4096)  # URLs are shared by many rules and checked at each save
def _missing_in(url: str) -> str:
    return _checker.ask(url)
