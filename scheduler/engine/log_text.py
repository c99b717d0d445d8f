"""Rendering of command output as plain text. `log.js` implements the same rules.

A carriage return restarts the line: following text replaces it, as with progress bars. Terminal escape sequences and
other control characters are removed; backspaces have no effect.
"""

from __future__ import annotations

import re

# CSI (ESC [) and OSC (ESC ]) sequences, other escape sequences, and control characters except tab, LF, CR and ESC.
_CONTROL = re.compile(
    r"\x1b\[[0-9;:?<=>]*[ -/]*(?P<end>[@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:?<=>]{0,200}[ -/]{0,20}|\][^\x07\x1b]{0,200})?\Z")
_COLOUR = re.compile(r"\x1b\[[0-9;:?<=>]*[ -/]*m")


def shown_text(text: str, *, keeps_colours: bool = False) -> str:
    """Return the text of a log as its page shows it; tabs and line feeds are the only control characters left.

    Args:
        keeps_colours: keep colour sequences, for callers that render them.
    """
    kept = _CONTROL.sub(lambda match: match[0] if keeps_colours and match["end"] == "m" else "", _whole(text))
    return "\n".join(map(_last_layer, kept.split("\n")))


def _whole(text: str) -> str:
    """Return the text without an incomplete escape sequence at its end."""
    return text[:-256] + _UNFINISHED.sub("", text[-256:])


def _last_layer(line: str) -> str:
    """Return the text after the last carriage return of a line, with the colours set before it."""
    if "\r" not in line:
        return line
    layers = line.split("\r")
    while len(layers) > 1 and not _COLOUR.sub("", layers[-1]):
        colours = layers.pop()
        layers[-1] += colours
    return "".join(_COLOUR.findall("".join(layers[:-1]))) + layers[-1]
