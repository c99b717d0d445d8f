"""Sends requests through the WSGI application that the server runs, each undone after its answer."""

from __future__ import annotations

import io
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from django.core.signals import got_request_exception
from django.db import transaction
from django.utils import translation

from schedsite.wsgi import application
from tests.hostile.requests import Shot

CSRF = "c" * 32  # a cookie and a header that are the same are a valid pair


@dataclass(frozen=True)
class Answer:
    """What came back; `seconds` of the processor, so that a busy machine does not make it slow.

    `error` is the exception that was not handled; the status is 599 when the application raised it itself.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    error: str = ""


def send(shot: Shot, sessions: Mapping[str, str], tokens: Mapping[str, str]) -> Answer:
    """Send a request and roll back what it wrote.

    Args:
        sessions, tokens: role -> session key and token; a role without one is nobody.
    """
    errors: list[str] = []

    def note(**_signal: Any) -> None:
        errors.append(_last_lines())

    language = translation.get_language()
    before = time.process_time()
    got_request_exception.connect(note)
    try:
        with transaction.atomic():
            status, headers, body = _call(_environ(shot, sessions, tokens))
            transaction.set_rollback(True)
    except Exception:  # the server would answer it with a page of its own, and a trace in its log
        status, headers, body = 599, {}, b""
        errors.append(_last_lines())
    finally:
        got_request_exception.disconnect(note)
        translation.activate(language or "en")  # a thread keeps the language of its last reader
    return Answer(status, headers, body, time.process_time() - before, " / ".join(errors))


def _call(environ: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    began: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        began["status"], began["headers"] = int(status.split()[0]), dict(headers)

    answer = application(environ, start_response)
    body = b"".join(answer)
    close = getattr(answer, "close", None)
    if close is not None:
        close()
    return began["status"], began["headers"], body


def _last_lines() -> str:
    """Return the place of the exception that is being handled, and its text."""
    error = sys.exc_info()[1]
    frames = traceback.extract_tb(error.__traceback__ if error else None)
    own = [frame for frame in frames if "/site-packages/" not in frame.filename]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in [*own[-1:], *frames[-2:]]]
    return f"{type(error).__name__}: {str(error)[:150]} at {', '.join(places)}"


def _environ(shot: Shot, sessions: Mapping[str, str], tokens: Mapping[str, str]) -> dict[str, Any]:
    cookies = [f"csrftoken={CSRF}", shot.cookies]
    if shot.role in sessions and not shot.with_token:
        cookies.insert(0, f"sessionid={sessions[shot.role]}")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": shot.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(shot.path).decode("latin-1"),
        "QUERY_STRING": shot.query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost:8000",
        "HTTP_COOKIE": "; ".join(filter(None, cookies)),
        "HTTP_X_CSRFTOKEN": CSRF,
        "CONTENT_LENGTH": str(len(shot.body)),
        "CONTENT_TYPE": shot.content_type,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(shot.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if shot.with_token and shot.role in tokens:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {tokens[shot.role]}"
    environ.update(shot.headers)
    return environ
