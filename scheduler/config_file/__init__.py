"""config.json: parse text to task specs and dump them. Import, API and forms share one JSON Schema and validator."""

from scheduler.config_file.document import ConfigDocument, parse_config, read_config
from scheduler.config_file.problems import ConfigError, ConfigProblem
from scheduler.config_file.schema import FieldMetadata, load_schema, task_fields
from scheduler.config_file.specs import FieldChange, TaskSpec, complete_spec, diff_spec, dump_config
from scheduler.config_file.upstreams import cycle_finding, find_unknown
from scheduler.config_file.validation import validate_task

__all__ = [
    "ConfigDocument",
    "ConfigError",
    "ConfigProblem",
    "FieldChange",
    "FieldMetadata",
    "TaskSpec",
    "complete_spec",
    "cycle_finding",
    "diff_spec",
    "dump_config",
    "find_unknown",
    "load_schema",
    "parse_config",
    "read_config",
    "task_fields",
    "validate_task",
]
