"""JSON as strict as the configuration: no duplicate keys, NaN, deep nesting, NUL or lone surrogates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import JSONParser

from scheduler.config_file.document import parse_json

LARGEST_BODY = 5 * 1024 * 1024  # bytes; also the limit of a configuration, which refuses one byte more


class StrictJSONParser(JSONParser):
    """Refuses with 400 what a database or another reader of the same text would take differently."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the data of a request body, of which no more is read than is allowed.

        Raises:
            ConfigError: it is no sound JSON; with line and column.
        """
        return parse_json(stream.read(LARGEST_BODY + 1), file="")
