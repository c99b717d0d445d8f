"""The parameters and the answers of the API in OpenAPI, and one decorator for all operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from scheduler.api.schemas import BOOLEAN, COUNT, TEXT, Schema
from scheduler.api.serializers.problems import ProblemSerializer
from scheduler.choices import RunStatus, Status, Trigger

View = TypeVar("View", bound=Callable[..., Any])
Shape = type[serializers.Serializer[Any]] | OpenApiTypes


def _words(values: Sequence[str]) -> Schema:
    return {"type": "array", "items": {"type": "string", "enum": list(values)}}


def _number(minimum: int, maximum: int, default: int | None = None) -> Schema:
    schema: Schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return schema if default is None else {**schema, "default": default}


#: name -> schema and description of each query parameter
PARAMETERS: Mapping[str, tuple[Schema, str]] = {
    "status": (_words(Status.values), "Statuses; repeated or separated by commas."),
    "trigger": (_words(Trigger.values), "Triggers; repeated or separated by commas."),
    "since": ({"type": "string", "format": "date-time"}, "Queued at or after this instant."),
    "until": ({"type": "string", "format": "date-time"}, "Queued before this instant."),
    "page_size": (_number(1, 500), "Items on a page."),
    "cursor": (TEXT, "From the links `next` and `previous` of a page."),
    "page": (_number(1, 1_000_000, 1), "Number of the page."),
    "task_id": (TEXT, "Executions of this task; of a deleted one as well."),
    "enabled": (BOOLEAN, "Whether the schedule counts."),
    "tag": (TEXT, "Tasks that carry this tag."),
    "q": (TEXT, "Text in id or name."),
    "count": (_number(1, 50, 5), "How many."),
    "offset": (_number(0, 2**53, 0), "First byte of the true stream to return."),
    "run_status": (_words(RunStatus.values), "Statuses; repeated or separated by commas."),
    "confirm": ({**BOOLEAN, "default": False}, "Delete it although other tasks depend on it."),
    "tail": (_number(1, 2**53), "Begin so many bytes before the end instead."),
}
ERRORS = {
    400: "Refused, with the reasons.",
    401: "Not signed in.",
    403: "Not allowed.",
    404: "Not there.",
    406: "None of the media types that `Accept` names is to be had.",
    429: "Too many bad tokens came from this address, or the account asked for too much; wait for `Retry-After`.",
    503: "The database is busy; try again after `Retry-After` seconds.",
    507: "The disk is full; nothing was changed.",
}
ERRORS_OF_BODIES = {413: "The body is too long; nothing was read.", 415: "The body is not JSON."}
TOO_SLOW = "The body came too slowly; the server closes the connection."
RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    COUNT,
    OpenApiParameter.HEADER,
    description="Seconds to wait before sending it again.",
    response=[429, 503],
)
PATH_PARAMETERS = {
    "task_id": OpenApiParameter(
        "task_id",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
        OpenApiParameter.PATH,
        examples=[OpenApiExample("task", value="nightly-backup")],
    ),
    "execution_id": OpenApiParameter(
        "execution_id", {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}, OpenApiParameter.PATH
    ),
    "run_id": OpenApiParameter(
        "run_id", {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}, OpenApiParameter.PATH
    ),
}


def operation(
    name: str,
    *,
    answer: Shape | None,
    status: int = 200,
    of: str = "",
    takes: Sequence[str] = (),
    request: Shape | None = None,
    is_text: bool = False,
    conflicts: bool = False,
    query: Mapping[str, tuple[Schema, str]] = PARAMETERS,
    paths: Mapping[str, OpenApiParameter] = PATH_PARAMETERS,
) -> Callable[[View], View]:
    """Describe a view's method; `takes` are also the only query parameters that it accepts.

    Args:
        name: operation id.
        of: the path parameter that names the object.
        is_text: whether the answer is also to be had as text/plain.
        conflicts: whether it may answer 409.
        query, paths: schema and description of the parameters by name; another app brings its own.
    """
    errors = {code: words for code, words in ERRORS.items() if code != 404 or of}
    if conflicts:
        errors[409] = "The present state does not admit it."
    if request:
        errors |= ERRORS_OF_BODIES
    responses = _responses(status, answer, errors, is_text=is_text)
    if request:
        responses[(408, "text/plain")] = OpenApiResponse(OpenApiTypes.STR, description=TOO_SLOW)
    parameters = [paths[of]] if of else []
    parameters += [_query(name, *query[name]) for name in takes]
    parameters.append(RETRY_AFTER)
    describe = extend_schema(
        operation_id=name,
        parameters=parameters,
        request={"application/json": request} if request else None,
        responses=responses,
    )

    def decorate(method: View) -> View:
        described: View = describe(method)
        described.takes = tuple(takes)  # type: ignore[attr-defined]  # read by `StrictViewSet`
        return described

    return decorate


def _responses(
    status: int, answer: Shape | None, errors: Mapping[int, str], *, is_text: bool
) -> dict[Any, Any]:
    """Return the answer and the errors, by status and media type."""
    responses: dict[Any, Any] = {
        (code, "application/problem+json"): OpenApiResponse(ProblemSerializer, description=words)
        for code, words in errors.items()
    }
    responses[(status, "application/json")] = answer
    if answer is None:
        responses = {**{k: v for k, v in responses.items() if k[0] != status}, status: OpenApiResponse()}
    if is_text:
        responses[(status, "text/plain")] = OpenApiTypes.STR
    return responses


def _query(name: str, schema: Schema, words: str) -> OpenApiParameter:
    explode = True if schema.get("type") == "array" else None
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=words, explode=explode)
