"""`manage.py start`: run site, dispatcher and worker together, as defined in the Procfile."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from honcho import command, manager, process

from schedsite import STARTED_WITH
from schedsite.hidden_environment import handed_over, showing_ancestors


class Command(BaseCommand):
    """Runs honcho, and passes settings to its processes in a way that commands cannot read in /proc."""

    help = "Start the site, a dispatcher and a worker together, until Ctrl-C (for trying out; see Procfile)."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the processes, and end when one of them ends."""
        for program, name in showing_ancestors():
            self.stderr.write(
                f"{program} was started with {name}, which commands can read there; give it as {name}_FILE instead."
            )
        # `python` is the current interpreter; otherwise the environment is that from before Django set TZ.
        folders = [str(Path(sys.executable).parent), STARTED_WITH.get("PATH", os.defpath)]
        os.environ.clear()
        os.environ.update({**STARTED_WITH, "PATH": os.pathsep.join(folders)})
        os.chdir(settings.BASE_DIR)
        command.Manager = PatientManager
        command.main(["start"])


class PatientManager(manager.Manager):  # type: ignore[misc]
    """honcho's manager, with termination that works at any time.

    honcho 2.0.0 fails with KeyError on a signal before it knows all pids, and with RuntimeError on a signal while it
    prints (a signal handler must not print); its processes would then continue without it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._process_ctor = HiddenProcess
        self._is_asked_to_end = False
        self._unsaid: list[str] = []
        get = self.events.get

        def get_when_said(**options: Any) -> Any:
            while self._unsaid:
                super(PatientManager, self)._system_print(self._unsaid.pop(0))
            return get(**options)

        self.events.get = get_when_said  # called in each iteration of its loop

    def terminate(self) -> None:
        """End all processes, now or once the pids of all are known."""
        self._is_asked_to_end = True
        if self._all_started():
            super().terminate()

    def _any_stopped(self) -> bool:
        return self._is_asked_to_end or super()._any_stopped()  # makes its loop end the other processes

    def _system_print(self, data: str) -> None:
        self._unsaid.append(data)


class HiddenProcess(process.Process):  # type: ignore[misc]
    """A process whose environment is handed over by `start_hidden`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._child_ctor = start_hidden


def start_hidden(command_line: str, *, env: dict[str, str], cwd: str | None) -> process.Popen:
    """Start a command line of one of our processes, handing its variables over outside of /proc."""
    with handed_over(env) as (shown, descriptor):
        return process.Popen(command_line, env=shown, cwd=cwd, pass_fds=[descriptor])
