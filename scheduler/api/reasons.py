"""Reason codes for rejected requests, with their templates; see `scheduler.engine.reasons`.

Fields of bodies and parameters that a configuration could have as well are rejected with the codes of
`scheduler.config_file.reasons`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from django.utils.translation import gettext_noop

from scheduler.engine.reasons import Plural, add_templates


class Code(StrEnum):
    """Codes of rejections, of the places of malformed text, and of the allowed values."""

    # rejections
    UNKNOWN_PARAMETER = "unknown_parameter"
    UNKNOWN_PARAMETER_AMONG = "unknown_parameter_among"
    PARAMETER_REPEATED = "parameter_repeated"
    CURSOR_NOT_VALID = "cursor_not_valid"
    BODY_NOT_OBJECT = "body_not_object"
    NO_TASK = "no_task"
    ONLY_WITH_SCOPE = "only_with_scope"
    FIELD_NOT_CHANGEABLE = "field_not_changeable"
    VALUE_NOT_STORABLE = "value_not_storable"
    # malformed requests
    REQUEST_HAS_NUL = "request_has_nul"
    REQUEST_HAS_SURROGATE = "request_has_surrogate"
    REQUEST_ENCODING = "request_encoding"
    FORM_UNREADABLE = "form_unreadable"
    THE_PATH = "the_path"
    THE_QUERY = "the_query"
    A_HEADER = "a_header"
    A_COOKIE = "a_cookie"
    THE_FORM = "the_form"
    # allowed values
    ONCE = "once"
    INSTANT = "instant"
    CURSOR_OF_PAGE = "cursor_of_page"


TEMPLATES: Mapping[Code, str | Plural] = {
    Code.UNKNOWN_PARAMETER: gettext_noop('unknown parameter "%(name)s"; none is allowed'),
    Code.UNKNOWN_PARAMETER_AMONG: gettext_noop('unknown parameter "%(name)s"; allowed: %(known)s'),
    Code.PARAMETER_REPEATED: gettext_noop("%(field)s must be given once, but was given %(count)s times"),
    Code.CURSOR_NOT_VALID: gettext_noop("invalid cursor %(found)s; use the links of a page"),
    Code.BODY_NOT_OBJECT: gettext_noop("the body must be a JSON object, but %(found)s was found"),
    Code.NO_TASK: gettext_noop("there is no task %(name)s"),
    Code.ONLY_WITH_SCOPE: gettext_noop(
        "%(field)s must be empty unless scope is %(scope)s, but %(found)s was found"
    ),
    Code.FIELD_NOT_CHANGEABLE: gettext_noop(
        "%(field)s is %(value)s and cannot be changed, but %(found)s was found"
    ),
    Code.VALUE_NOT_STORABLE: gettext_noop("a value is outside the range that can be stored"),
    Code.REQUEST_HAS_NUL: gettext_noop("%(place)s must not contain a NUL character."),
    Code.REQUEST_HAS_SURROGATE: gettext_noop("%(place)s must not contain half of a surrogate pair."),
    Code.REQUEST_ENCODING: gettext_noop("The encoding must be UTF-8, but %(found)s was found."),
    Code.FORM_UNREADABLE: gettext_noop("The form cannot be read."),
    Code.THE_PATH: gettext_noop("The path"),
    Code.THE_QUERY: gettext_noop("The query"),
    Code.A_HEADER: gettext_noop("A header"),
    Code.A_COOKIE: gettext_noop("A cookie"),
    Code.THE_FORM: gettext_noop("The form"),
    Code.ONCE: gettext_noop("once"),
    Code.INSTANT: gettext_noop("an ISO 8601 instant such as 2026-01-31T06:00:00Z"),
    Code.CURSOR_OF_PAGE: gettext_noop("a cursor from a page's links"),
}
add_templates(TEMPLATES)
