"""What is wrong with a configuration, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.exceptions import SchedulerError

SHOWN = 200


@dataclass(frozen=True)
class ConfigProblem:
    """One problem.

    Attributes:
        file: name as given, "" for the API and forms.
        line, column: from 1; None for the API and forms.
        path: such as ``tasks[3].task_timeout``.
        message: a sentence that names the value found and what is allowed.
    """

    file: str
    line: int | None
    column: int | None
    path: str
    message: str
    found: str
    allowed: str

    def __str__(self) -> str:
        where = [self.file] if self.file else []
        if self.line is not None:
            where += [str(self.line), str(self.column)]
        return ": ".join(part for part in (":".join(where), self.path, self.message) if part)


class ConfigError(SchedulerError):
    """A configuration was refused; nothing of it was used.

    Attributes:
        problems: all of them.
    """

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        lines = [str(problem) for problem in problems[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"and {len(problems) - SHOWN} more")
        super().__init__("\n".join(lines))
        self.problems = list(problems)
