"""JSON as strict as the configuration: no duplicate keys, NaN, deep nesting, NUL or lone surrogates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from scheduler.config_file import ConfigError
from scheduler.config_file.document import parse_json


class StrictJSONParser(JSONParser):
    """Refuses with 400 what a database or another reader of the same text would take differently."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the data of a request body."""
        try:
            return parse_json(stream.read(), file="")
        except ConfigError as error:
            raise ParseError(str(error)) from error
