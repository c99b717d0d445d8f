"""Reason codes of the webhook channel; see `scheduler.engine.reasons`."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why a webhook failed or is rejected, and what is allowed. The values are stored and never change."""

    CONNECTION_FAILED = "connection_failed"
    NO_VALID_ANSWER = "no_valid_answer"
    URL_WITHOUT_HTTP = "url_without_http"
    URL_HAS_SPACES = "url_has_spaces"
    PORT_FORBIDDEN = "port_forbidden"
    HEADER_NAME_NOT_VALID = "header_name_not_valid"
    HEADER_NOT_VALID = "header_not_valid"
    HEADER_RESERVED = "header_reserved"
    PUBLIC_HOST = "public_host"
    FREE_HEADERS = "free_headers"
