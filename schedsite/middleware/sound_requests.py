"""Rejects malformed requests in one place, before any view, with the same result on every database.

400: text with a NUL character, which PostgreSQL cannot store, in path, query, header, cookie or form; text in another
encoding than UTF-8; an unparsable form. 404: an impossible primary key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import BadRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db.models import IntegerField
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.http import parse_header_parameters

from scheduler.api.reasons import Code
from scheduler.config_file.problems import shorten
from scheduler.engine.reasons import Reason

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
ENCODINGS = ("", "utf-8", "utf8")
KEYS = ("object_id", "content_type_id", "id", "pk")  # URL parameters of the admin that are primary keys
LARGEST_KEY = 2**63 - 1

Named = Iterable[tuple[str, Iterable[str]]]


class UnreadableRequestError(BadRequest):
    """A malformed request: `path` names the field or parameter, `why` is the reason."""

    def __init__(self, path: str, why: Reason) -> None:
        super().__init__(why)
        self.path, self.why = path, why


class SoundRequest(WSGIRequest):
    """A request that is always decoded as UTF-8; the middleware rejects those that declare another encoding.

    Django decodes the query with the charset of the content type while it creates the request, where errors are not
    handled: `charset=base64` would log a traceback and bypass our error pages.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class SoundHandler(WSGIHandler):
    """WSGI handler that creates `SoundRequest` objects."""

    request_class = SoundRequest


class SoundRequestMiddleware:
    """Passes on requests that can be decoded and stored."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response, or reject the request.

        Raises:
            UnreadableRequestError: path, query, a header or a cookie is malformed.
        """
        _check_encoding(request)
        _check(Code.THE_PATH, [("", [request.path_info])])
        _check(Code.THE_QUERY, request.GET.lists())
        _check(
            Code.A_HEADER, ((name, [text]) for name, text in request.META.items() if name.startswith("HTTP_"))
        )
        _check(Code.A_COOKIE, ((name, [text]) for name, text in request.COOKIES.items()))
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Check the keys in the URL, and a submitted form (the API accepts none).

        Raises:
            Http404: the key is impossible.
            UnreadableRequestError: the form is malformed.
        """
        owner = getattr(view, "model_admin", None)
        has_numbers = owner is None or isinstance(owner.model._meta.pk, IntegerField)
        if has_numbers and not all(is_key(kwargs[name]) for name in KEYS if name in kwargs):
            raise Http404
        if request.content_type in FORMS and not request.path_info.startswith("/api/"):
            _check_form(request)


def is_key(value: object) -> bool:
    """Return whether a value is a valid primary key in all our databases."""
    text = str(value)
    return text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST_KEY


def _check_encoding(request: HttpRequest) -> None:
    """Reject encodings other than UTF-8: the text would be decoded wrongly or not at all."""
    named = (request.content_params or {}).get("charset", "").strip("\"' ").lower()
    if named not in ENCODINGS:
        raise UnreadableRequestError("", Reason(Code.REQUEST_ENCODING, {"found": shorten(named[:40])}))


def _check_form(request: HttpRequest) -> None:
    try:
        fields = request.POST.lists()
        files = [(name, [str(getattr(file, "name", ""))]) for name, file in request.FILES.items()]
    except (
        LookupError,
        ValueError,
        OverflowError,
    ) as error:  # an unknown encoding, or an invalid length
        raise UnreadableRequestError("", Reason(Code.FORM_UNREADABLE)) from error
    _check(Code.THE_FORM, fields)
    _check(Code.THE_FORM, files)


def _check(place: Code, named: Named) -> None:
    for name, texts in named:
        for text in (name, *texts):
            if "\0" in text:
                why = Reason(Code.REQUEST_HAS_NUL, {"place": Reason(place)})
                raise UnreadableRequestError(name.replace("\0", "\\0"), why)
            try:
                text.encode()
            except UnicodeEncodeError as error:
                why = Reason(Code.REQUEST_HAS_SURROGATE, {"place": Reason(place)})
                raise UnreadableRequestError("", why) from error
