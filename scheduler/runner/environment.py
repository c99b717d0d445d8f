"""The environment of a command: an allow-list of server variables, and the first Python in PATH."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ALLOWED_VARIABLES = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")
#: Linux's limit in bytes for one argument or variable with its name: 32 pages of 4,096, including the final NUL
LONGEST_ARGUMENT = 32 * 4096 - 1
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def allowed_environment(server: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `server` that commands may inherit; secrets and settings are removed.

    The folder of the virtual environment that runs Schedsite is removed from PATH: its `pip` would change Schedsite.
    Without a virtual environment, `pip` is configured to work in virtual environments only.
    """
    env = {name: server[name] for name in ALLOWED_VARIABLES if name in server}
    env |= {name: value for name, value in server.items() if name.startswith("LC_")}
    folders = server.get("PATH", DEFAULT_PATH).split(":")
    if not is_in_virtual_environment():
        return env | {"PATH": ":".join(folders), "PIP_REQUIRE_VIRTUALENV": "1"}
    own = {os.path.realpath(Path(sys.prefix) / "bin"), os.path.realpath(Path(sys.executable).parent)}
    kept = [folder for folder in folders if os.path.realpath(folder or ".") not in own]
    return env | {"PATH": ":".join(kept) or DEFAULT_PATH}


def command_environment(*layers: Mapping[str, str], base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the allowed part of `base` (default: the environment of this process), overlaid with `layers`."""
    env = allowed_environment(os.environ if base is None else base)
    for layer in layers:
        env |= layer
    return env


def is_in_virtual_environment() -> bool:
    """Return whether this Python runs in a virtual environment."""
    return sys.prefix != sys.base_prefix


def with_python(
    env: Mapping[str, str], folder: Path, virtual_environment: Path | None = None
) -> dict[str, str]:
    """Return `env` with `folder` first in PATH, and the virtual environment set as `activate` does."""
    path = f"{folder}:{env.get('PATH', DEFAULT_PATH)}"
    more = {} if virtual_environment is None else {"VIRTUAL_ENV": str(virtual_environment)}
    return {**env, **more, "PATH": path}
