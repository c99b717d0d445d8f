"""Message templates: `{{name}}` is replaced by a value.

There is no code, no filter, no attribute and no second pass: braces inside a value are text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus

from django.utils.html import escape

from scheduler.config_file.notify_rules import PLACEHOLDER, TEMPLATE_NAMES

#: Maximum characters of a rendered text; longer ones are truncated and end with `CUT`.
LIMIT = 65_536
#: Maximum characters of a rendered subject.
SUBJECT_LIMIT = 200
#: Maximum characters of one value inside a body that cannot be truncated, such as JSON.
VALUE_LIMIT = 16_384
CUT = " […]"

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)|[@-Z\\-_])")
_LINE_ENDS = re.compile("\r\n|[\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
# C0 and C1 except tab and line feed; direction overrides, which change how a text reads; surrogates,
# which message encodings cannot represent; non-characters.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)


def render(template: str, values: Mapping[str, object]) -> str:
    """Return `template` with each `{{name}}` replaced by its value, as plain text.

    None and missing values become empty. Line endings become line feeds; terminal colours and control characters are
    removed. At most `LIMIT` characters: longer text is truncated and ends with `CUT`.

    Raises:
        ValueError: the template uses a name that is not in `TEMPLATE_NAMES`.
    """
    return _cut(clean(_substitute(template, values, limit=2 * LIMIT)), LIMIT)


def render_subject(template: str, values: Mapping[str, object]) -> str:
    """Return `template` like `render`, on one line of at most `SUBJECT_LIMIT` characters.

    Raises:
        ValueError: as in `render`.
    """
    text = clean(_substitute(template, values, limit=LIMIT))
    return _cut(" ".join(text.split()), SUBJECT_LIMIT)


def render_html(template: str, values: Mapping[str, object]) -> str:
    """Return `template` as an HTML fragment in which values and template are escaped.

    The log is rendered as a block and the URL of the execution as a link. A text longer than `LIMIT` is truncated and
    rendered without these two.

    Raises:
        ValueError: as in `render`.
    """
    if len(_substitute(template, values, limit=LIMIT + 1)) > LIMIT:
        return _html_lines(render(template, values))
    return _substitute(template, values, limit=16 * LIMIT, value=_html_value, between=_html_lines)


def render_json(template: str, values: Mapping[str, object]) -> str:
    """Return `template`, the text of a JSON document, with values inserted safely.

    Inside a string of the document a value becomes the escaped content of that string; outside it becomes a
    JSON value: a number, a quoted string, or null. Values are truncated after `VALUE_LIMIT` characters.

    Raises:
        ValueError: as in `render`, or the result is not valid JSON, or longer than 16 × `LIMIT`.
    """
    parts: list[str] = []
    size = end = 0
    is_in_string = False
    for match in PLACEHOLDER.finditer(template):
        between = template[end : match.start()]
        is_in_string = _ends_in_string(between, is_in_string)
        value = values.get(_known(match[1]))
        text = _json_text(value) if is_in_string else _json_value(value)
        parts += [between, text]
        size += len(between) + len(text)
        if size > 16 * LIMIT:
            raise ValueError(f"the body is longer than {16 * LIMIT} characters")
        end = match.end()
    text = "".join([*parts, template[end:]])
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body template is not a JSON document: {error}") from error
    return text


def render_form(template: str, values: Mapping[str, object]) -> str:
    """Return `template`, the text of a form (`a=1&b=2`), with percent-encoded values, each truncated separately."""
    text = _substitute(
        template, values, limit=LIMIT, value=lambda _name, value: quote_plus(shorten(value)), between=clean
    )
    return _cut(text, LIMIT)


def render_markup(template: str, values: Mapping[str, object]) -> str:
    """Return `template`, the text of an XML or HTML document, with escaped values."""
    text = _substitute(
        template, values, limit=LIMIT, value=lambda _name, value: escape(shorten(value)), between=clean
    )
    return _cut(text, LIMIT)


def clean(text: str) -> str:
    """Return the text with LF line endings and without control characters."""
    text = _LINE_ENDS.sub("\n", _ESCAPE_SEQUENCE.sub("", text))
    return _UNWANTED.sub("", text)


def _substitute(
    template: str,
    values: Mapping[str, object],
    *,
    limit: int,
    value: Callable[[str, object], str] = lambda _name, value: _plain(value),
    between: Callable[[str], str] = str,
) -> str:
    """Return the substituted text; stops soon after `limit` characters.

    Args:
        value: converts a value to text, given its name.
        between: converts the text between the names.
    """
    parts: list[str] = []
    size = end = 0
    for match in PLACEHOLDER.finditer(template):
        name = _known(match[1])
        if size <= limit:
            parts += [between(template[end : match.start()]), value(name, values.get(name))]
            size += len(parts[-2]) + len(parts[-1])
        end = match.end()
    return "".join([*parts, between(template[end:]) if size <= limit else CUT])


def _known(text: str) -> str:
    name = text.strip()
    if name not in TEMPLATE_NAMES:
        raise ValueError(f"unknown name {name!r} in a template; allowed: {', '.join(TEMPLATE_NAMES)}")
    return name


def _plain(value: object) -> str:
    return "" if value is None else str(value)


def shorten(value: object) -> str:
    """Return a value as cleaned text of at most `VALUE_LIMIT` characters."""
    return _cut(clean(_plain(value)), VALUE_LIMIT)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - len(CUT)] + CUT


def _html_lines(text: str) -> str:
    return escape(clean(text)).replace("\n", "<br>\n")


def _html_value(name: str, value: object) -> str:
    text = shorten(value)
    if name == "execution_log_tail" and text:
        return f'<pre style="{LOG_STYLE}">{escape(text)}</pre>'
    if name == "execution_url" and text.startswith(("http://", "https://")):
        return f'<a href="{escape(text)}">{escape(text)}</a>'
    return _html_lines(text)


LOG_STYLE = (
    "margin:0;padding:8px;background:#f4f4f5;color:#18181b;border-radius:4px;"
    "font:13px/1.4 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere"
)


def _ends_in_string(text: str, is_in_string: bool) -> bool:
    """Return whether a JSON text that begins inside or outside a string ends inside one."""
    is_escaped = False
    for character in text:
        if is_escaped:
            is_escaped = False
        elif character == "\\" and is_in_string:
            is_escaped = True
        elif character == '"':
            is_in_string = not is_in_string
    return is_in_string


def _json_text(value: object) -> str:
    return json.dumps(shorten(value))[1:-1]


def _json_value(value: object) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return json.dumps(value, allow_nan=False) if value is None or is_number else json.dumps(shorten(value))
