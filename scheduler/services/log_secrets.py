"""The secrets to mask in the log of an execution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from django.conf import settings

from scheduler.config_file import TaskSpec
from scheduler.config_file.secret_values import LIST, SHORTEST, secret_values, short_secrets
from scheduler.runner import Secrets, StartError, read_env_file, secrets_of
from scheduler.services.claims import spec_of
from scheduler.services.folders import base_folder
from scheduler.services.outcomes import Claimed

ENV_FILE = "_ENV_FILE"


def log_secrets(claimed: Claimed, env: Mapping[str, str] | None) -> Secrets:
    """Return the secrets of a command.

    Args:
        env: its variables; None for a running command, whose environment file is read again.
    """
    if ENV_FILE in claimed.spec["task_env"]:
        return _secrets(claimed.spec, env)
    return _secrets_of_revision(claimed.revision_pk)


@lru_cache(maxsize=2048)
def _secrets_of_revision(revision_pk: int) -> Secrets:
    """Return the secrets of a definition without an environment file; cached, as computing them is slow."""
    return _secrets(spec_of(revision_pk), {})


def _secrets(spec: TaskSpec, env: Mapping[str, str] | None) -> Secrets:
    return secrets_of(secret_values(_variables(spec, env), spec), spec["task_encoding"] or "utf-8")


def unmasked_notes(spec: TaskSpec, env: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each secret variable that is too short to mask."""
    for name in short_secrets(_variables(spec, env), listed=spec["task_env"].get(LIST, "")):
        yield f"{name} has fewer than {SHORTEST} characters and is not masked in this log"


def _variables(spec: TaskSpec, env: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the variables set by the task and its environment file; those of the server are not secrets."""
    own = spec["task_env"]
    if ENV_FILE not in own:
        return own
    return _read_again(own) if env is None else env


def _read_again(own: Mapping[str, str]) -> Mapping[str, str]:
    try:
        file = read_env_file(base_folder() / own[ENV_FILE], {**own, **settings.COMMAND_ENVIRONMENT})
    except (StartError, OSError, ValueError):
        return own  # it is missing, so its former values are unknown
    return {**file.values, **own}
