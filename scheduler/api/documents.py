"""What OpenAPI says of the API: the shapes on the wire, the parameters, and one decorator for all operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers

from scheduler.choices import RunStatus, Status, Trigger
from scheduler.config_file import load_schema

Schema = dict[str, Any]
View = TypeVar("View", bound=Callable[..., Any])

TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
INSTANT: Schema = {"type": "string", "format": "date-time", "description": "ISO 8601, UTC, with Z."}
INSTANT_OR_NULL: Schema = {**INSTANT, "nullable": True}
LINK: Schema = {"type": "string", "format": "uri", "nullable": True}
UNKNOWN_TO_OPENAPI = ("$comment", "examples", "propertyNames", "title", "$id", "$schema")


def component(name: str) -> Schema:
    """Return a reference to one of the shapes below."""
    return {"$ref": f"#/components/schemas/{name}"}


def an_object(properties: Mapping[str, Schema], *, required: Sequence[str] | None = None) -> Schema:
    """Return the schema of an object without further fields; all fields are required unless `required` is given."""
    names = list(properties) if required is None else list(required)
    schema: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {**schema, "required": names} if names else schema


def a_list(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def from_json_schema(schema: Mapping[str, Any]) -> Schema:
    """Return a part of the configuration's JSON Schema in the words of OpenAPI 3.0, references filled in."""
    if "$ref" in schema:
        return from_json_schema(load_schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    if "allOf" in schema:  # a channel: its type says which of the shapes counts
        return {"oneOf": [from_json_schema(branch["then"]) for branch in schema["allOf"]]}
    new: Schema = {key: value for key, value in schema.items() if key not in UNKNOWN_TO_OPENAPI}
    if "oneOf" in new:
        new["oneOf"] = [from_json_schema(branch) for branch in new["oneOf"]]
    if schema.get("examples"):
        new["example"] = schema["examples"][0]
    if "const" in new:
        new["enum"] = [new.pop("const")]
    if "enum" in new and "type" not in new:
        new["type"] = "string"
    if isinstance(new.get("type"), list):
        _name_one_type(new)
    if "exclusiveMinimum" in new:
        new["minimum"], new["exclusiveMinimum"] = new["exclusiveMinimum"], True
    if isinstance(new.get("additionalProperties"), dict):
        new["additionalProperties"] = from_json_schema(new["additionalProperties"])
    if "items" in new:
        new["items"] = from_json_schema(new["items"])
    if "properties" in new:
        new["properties"] = {name: from_json_schema(inner) for name, inner in new["properties"].items()}
    return new


def _name_one_type(schema: Schema) -> None:
    types = [name for name in schema.pop("type") if name != "null"]
    schema["nullable"] = True
    if len(types) == 1:
        schema["type"] = types[0]
        return
    bounds: Schema = {key: schema.pop(key) for key in ("exclusiveMinimum", "maximum") if key in schema}
    pattern = {"pattern": schema.pop("pattern")} if "pattern" in schema else {}
    if "exclusiveMinimum" in bounds:
        bounds = {**bounds, "minimum": bounds["exclusiveMinimum"], "exclusiveMinimum": True}
    schema["anyOf"] = [{"type": t, **(pattern if t == "string" else bounds)} for t in types]


@extend_schema_serializer(many=False)
class Document(serializers.Serializer[Any]):
    """A shape on the wire, for the documentation only: `shape` is its schema."""

    shape: ClassVar[Schema] = {}


class DocumentExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Takes the schema of a `Document` as it is."""

    target_class = Document
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Schema:
        """Return the schema."""
        shape: Schema = self.target.shape
        return shape

    def get_name(self, auto_schema: Any, direction: Any) -> str:
        """Return the name of the component."""
        return str(getattr(self.target, "__name__", type(self.target).__name__))


class TokenExtension(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the token."""

    target_class = "scheduler.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> Schema:
        """Return the scheme."""
        return {"type": "http", "scheme": "bearer"}


class Execution(Document):
    """One attempt to run one task, or the record of a slot that was skipped or missed."""

    shape = an_object(
        {
            "execution_id": {"type": "integer"},
            "task_id": TEXT,
            "run_id": {"type": "integer", "nullable": True},
            "status": {"type": "string", "enum": Status.values},
            "attempt": {"type": "integer", "minimum": 1},
            "trigger": {"type": "string", "enum": Trigger.values},
            "scheduled_for": INSTANT_OR_NULL,
            "queued_at": INSTANT,
            "started_at": INSTANT_OR_NULL,
            "finished_at": INSTANT_OR_NULL,
            "duration": {"type": "number", "nullable": True, "description": "Seconds."},
            "exit_code": {"type": "integer", "nullable": True},
            "reason": TEXT,
            "worker": TEXT,
            "log_size": {**COUNT, "description": "Bytes of output."},
            "upstream_executions": a_list({"type": "integer"}),
        }
    )


READ_ONLY: dict[str, Schema] = {
    "next_run_at": {**INSTANT_OR_NULL, "readOnly": True},
    "schedule_description": {**TEXT, "readOnly": True, "description": "The schedule in words."},
    "schedule_error": {**TEXT, "readOnly": True, "description": "Why the schedule cannot be followed."},
    "last_execution": {"allOf": [component("Execution")], "nullable": True, "readOnly": True},
}
TASK_SHAPE = from_json_schema(load_schema()["$defs"]["task"])
TASK_PROPERTIES: dict[str, Schema] = {**TASK_SHAPE["properties"], **READ_ONLY}


class Task(Document):
    """A task in the words of config.json, with what is known of it."""

    shape = an_object(TASK_PROPERTIES, required=TASK_SHAPE["required"])


class TaskChange(Document):
    """Some fields of a task."""

    shape = an_object(TASK_PROPERTIES, required=())


class TaskPage(Document):
    """Some tasks of a list."""

    shape = an_object(
        {"count": COUNT, "page": COUNT, "next": LINK, "previous": LINK, "results": a_list(component("Task"))}
    )


class ExecutionPage(Document):
    """Some executions, newest first."""

    shape = an_object({"next": LINK, "previous": LINK, "results": a_list(component("Execution"))})


class Nothing(Document):
    """A body without fields; it may be left out."""

    shape = an_object({}, required=())


class ExecuteRequest(Document):
    """How to run a task now."""

    shape = an_object(
        {"downstream": {**BOOLEAN, "default": True, "description": "Whether what follows starts as well."}},
        required=(),
    )


class ExecuteAnswer(Document):
    """What was queued."""

    shape = an_object({"execution_id": {"type": "integer"}, "run_id": {"type": "integer"}, "status": TEXT})


class ToggleRequest(Document):
    """Whether the schedule counts; without the field it is switched over."""

    shape = an_object({"enabled": BOOLEAN}, required=())


RUN_PROPERTIES: dict[str, Schema] = {
    "run_id": {"type": "integer"},
    "status": {"type": "string", "enum": RunStatus.values, "description": "Derived from the outcomes in it."},
    "trigger": {"type": "string", "enum": Trigger.values},
    "task_id": {**TEXT, "description": "The task that it began with."},
    "created_at": INSTANT,
    "created_by": {**TEXT, "nullable": True},
    "finished_at": INSTANT_OR_NULL,
    "cancelled_at": INSTANT_OR_NULL,
    "cancel_reason": TEXT,
}
EDGES = a_list(an_object({"upstream": TEXT, "downstream": TEXT}))


class Run(Document):
    """Everything that one trigger set in motion."""

    shape = an_object(RUN_PROPERTIES)


class RunPage(Document):
    """Some runs, newest first."""

    shape = an_object({"next": LINK, "previous": LINK, "results": a_list(component("Run"))})


class RunWithGraph(Document):
    """A run with its tasks, their latest attempts in it, and the dependencies that it follows."""

    shape = an_object(
        {
            **RUN_PROPERTIES,
            "nodes": a_list(
                an_object(
                    {
                        "task_id": TEXT,
                        "execution": {"allOf": [component("Execution")], "nullable": True},
                        "reason": {**TEXT, "description": "What a task without an execution waits for."},
                    }
                )
            ),
            "edges": EDGES,
        }
    )


class Graph(Document):
    """Tasks and dependencies."""

    shape = an_object(
        {
            "nodes": a_list(
                an_object(
                    {
                        "task_id": TEXT,
                        "task_name": TEXT,
                        "task_enabled": BOOLEAN,
                        "task_schedule": TEXT,
                        "status": {
                            "type": "string",
                            "enum": [*Status.values, None],
                            "nullable": True,
                            "description": "Of the latest outcome.",
                        },
                        "execution_id": {"type": "integer", "nullable": True},
                    }
                )
            ),
            "edges": EDGES,
        }
    )


class Explanation(Document):
    """Why a task ran, why it does not, and what it waits for."""

    shape = an_object(
        {
            "task_id": TEXT,
            "sentences": a_list(TEXT),
            "last": a_list(TEXT),
            "now": a_list(TEXT),
            "upcoming": a_list(TEXT),
            "upstreams": a_list(
                an_object(
                    {
                        "task_id": TEXT,
                        "is_fresh": {**BOOLEAN, "description": "Succeeded since this task last started."},
                        "last_success_at": INSTANT_OR_NULL,
                        "execution_id": {"type": "integer", "nullable": True},
                        "used_by": {"type": "integer", "nullable": True},
                        "reason": TEXT,
                    }
                )
            ),
        }
    )


class NextRuns(Document):
    """The next slots of a task."""

    shape = an_object({"task_id": TEXT, "timezone": TEXT, "next_runs": a_list(INSTANT)})


class LogPart(Document):
    """A part of the output of an execution."""

    shape = an_object(
        {
            "execution_id": {"type": "integer"},
            "offset": {**COUNT, "description": "First byte of the true stream in this part."},
            "next_offset": {**COUNT, "description": "Where the next part begins."},
            "text": TEXT,
            "size": {**COUNT, "description": "Bytes of output so far."},
            "omitted": {**COUNT, "description": "Bytes of this part that were not kept."},
            "is_finished": BOOLEAN,
        }
    )


class CronRequest(Document):
    """A schedule to be checked."""

    shape = an_object(
        {
            "expression": {**TEXT, "maxLength": 255, "example": "*/15 8-18 * * mon-fri"},
            "timezone": {**TEXT, "maxLength": 64, "default": "", "example": "Asia/Shanghai"},
        },
        required=("expression",),
    )


class CronAnswer(Document):
    """What a schedule says; `error` and `errors` when it is not valid."""

    shape = an_object(
        {
            "valid": BOOLEAN,
            "description": TEXT,
            "timezone": TEXT,
            "next_runs": a_list(INSTANT),
            "error": TEXT,
        },
        required=("valid",),
    )


class ConfigSchema(Document):
    """A JSON Schema, draft 2020-12."""

    shape: ClassVar[Schema] = {"type": "object", "additionalProperties": True}


class Problem(Document):
    """Problem details, RFC 9457."""

    shape = an_object(
        {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "errors": a_list(an_object({"path": TEXT, "message": TEXT, "found": TEXT, "allowed": TEXT})),
            "execution_id": {"type": "integer", "description": "The skipped row, when overlap refused it."},
        },
        required=("type", "title", "status", "detail", "errors"),
    )


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
ERRORS = {400: "Refused, with the reasons.", 401: "Not signed in.", 403: "Not allowed.", 404: "Not there."}
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
    answer: type[Document] | None,
    status: int = 200,
    of: str = "",
    takes: Sequence[str] = (),
    request: type[Document] | None = None,
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
        errors[415] = "The body is no JSON."
    responses: dict[Any, Any] = {
        (code, "application/problem+json"): OpenApiResponse(Problem, description=words)
        for code, words in errors.items()
    }
    responses[(status, "application/json")] = answer
    if answer is None:
        responses = {**{k: v for k, v in responses.items() if k[0] != status}, status: OpenApiResponse()}
    if is_text:
        responses[(status, "text/plain")] = OpenApiTypes.STR
    parameters = [paths[of]] if of else []
    parameters += [_query(name, *query[name]) for name in takes]
    describe = extend_schema(
        operation_id=name,
        parameters=parameters,
        request={"application/json": request} if request else None,
        responses=responses,
    )

    def decorate(method: View) -> View:
        described: View = describe(method)
        described.takes = tuple(takes)  # type: ignore[attr-defined]
        return described

    return decorate


def _query(name: str, schema: Schema, words: str) -> OpenApiParameter:
    explode = True if schema.get("type") == "array" else None
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=words, explode=explode)
