"""Recognition of Python tracebacks at the end of a log."""

from __future__ import annotations

import re

_PLACE = re.compile(r'^[ \t]+File "[^"\n]+", line \d+.*$', re.MULTILINE)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:: .*)?$")
_SYNTAX = re.compile(r"^(?:SyntaxError|IndentationError|TabError): ")
TRACEBACK = "Traceback (most recent call last):"
_MISSING = re.compile(r"^ModuleNotFoundError: No module named '([^']+)'$")
MOST_LINES_AFTER = 5  # further lines of a multi-line message


def uncaught_exception(log_end: str) -> str:
    """Return the line with the exception if a log ends with a Python traceback, else "".

    For a syntax error in the script itself, Python prints only the location instead of a traceback.
    """
    places = list(_PLACE.finditer(log_end))
    if not places:
        return ""
    after = log_end[places[-1].end() :].splitlines()
    lines = [line.rstrip() for line in after if line.strip() and not line[0].isspace()]
    if not lines or len(lines) > MOST_LINES_AFTER or not _EXCEPTION.match(lines[0]):
        return ""
    return lines[0] if TRACEBACK in log_end or _SYNTAX.match(lines[0]) else ""


def missing_module(log_end: str) -> str:
    """Return the missing module if a log ends with the traceback of a ModuleNotFoundError, else ""."""
    found = _MISSING.match(uncaught_exception(log_end))
    return found[1] if found else ""
