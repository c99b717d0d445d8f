"""JSON Schema fields shared by several channel kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.config_file.notify_rules import TEMPLATE_NAMES

_TEMPLATE: Mapping[str, Any] = {
    "description": f"Message text with placeholders {{{{name}}}}; names: {', '.join(TEMPLATE_NAMES)}.",
    "type": "string",
    "maxLength": 65536,
    "default": "",
}
SUBJECT_TEMPLATE: Mapping[str, Any] = {
    "title": "Subject",
    **_TEMPLATE,
    "examples": ["{{task_name}}: {{execution_status}}"],
}
BODY_TEMPLATE: Mapping[str, Any] = {
    "title": "Body",
    **_TEMPLATE,
    "examples": ["{{task_name}} ended {{execution_status}} after {{execution_duration}} s"],
}
