"""Detection of secret values of a task, to be masked in its log, by variable name and by content.

Not all variables are masked: masking each ``production`` or ``8080`` would make logs unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from scheduler.config_file.channel_kinds import kind_of
from scheduler.config_file.problems import Finding
from scheduler.config_file.reasons import Code
from scheduler.config_file.url_masking import MASK, user_of_url
from scheduler.engine.reasons import Reason

#: Variable of `task_env` that lists further secrets, or exceptions with a leading ``-``; not passed to commands.
LIST = "_SECRETS"
SHORTEST = 6  # characters, as in `runner.masking`

#: Words, or ends of words, in names of secrets.
ENDS = ("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "APIKEY")
WORDS = frozenset({"PASS", "PWD", "KEY", "DSN", "AUTH", "AUTHORIZATION", "JWT", "COOKIE", "BEARER"})
#: Words that mark a variable as not secret despite such a word: locations, kinds, sizes.
BESIDE = frozenset(
    {
        "FILE",
        "PATH",
        "DIR",
        "FOLDER",
        "URL",
        "URI",
        "HOST",
        "PORT",
        "NAME",
        "TYPE",
        "ALGORITHM",
        "ALGO",
        "LENGTH",
    }
    | {
        "SIZE",
        "TTL",
        "TIMEOUT",
        "EXPIRY",
        "EXPIRES",
        "LIFETIME",
        "MAX",
        "MIN",
        "LIMIT",
        "COUNT",
        "ENABLED",
        "METHOD",
    }
)
PUBLIC = frozenset({"PUBLIC", "SORT", "PARTITION", "PRIMARY", "FOREIGN", "GROUP", "ROUTING", "CACHE"})
NO_SECRETS = frozenset({"PWD", "OLDPWD", LIST, "_ENV_FILE"})
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#]*@\S*")


@lru_cache(maxsize=4096)  # called for each variable of each started command
def is_secret_name(name: str) -> bool:
    """Return whether a name denotes a secret, such as ``DB_PASSWORD``, ``apiKey`` or ``X-Auth-Token``."""
    if name in NO_SECRETS:
        return False
    words = [word for word in re.split(r"[^A-Z0-9]+", CAMEL.sub("_", name).upper()) if word]
    if not words or words[-1] in BESIDE or PUBLIC.intersection(words):
        return False
    return any(word in WORDS or word.rstrip("S").endswith(ENDS) or word.endswith(ENDS) for word in words)


def secret_variables(env: Mapping[str, str], *, listed: str = "") -> dict[str, str]:
    """Return the secret variables: by name, by the list, or because of a URL with a password.

    Args:
        listed: the value of `LIST`.
    """
    names = set(re.split(r"[\s,]+", listed))
    found = {}
    for name, value in env.items():
        if f"-{name}" in names or name in NO_SECRETS:
            continue
        if name in names or is_secret_name(name):
            found[name] = value
    return found


def secret_values(env: Mapping[str, str], task: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values to mask in the log of a task, longest first.

    Args:
        env: the variables of its command, including those of its environment file.
        task: its spec; the secrets of its rules are included.
    """
    found = set(secret_variables(env, listed=task["task_env"].get(LIST, "")).values())
    for value in env.values():
        found |= set(passwords(value))
    for rule in task["task_notify"]:
        for channel in rule["channels"]:
            found |= set(channel_secrets(channel))
    return tuple(
        sorted((value for value in found if len(value.strip()) >= SHORTEST), key=lambda v: (-len(v), v))
    )


def find_short_secrets(env: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the secret variables of `task_env` that are too short to be masked in a log."""
    texts = {name: value for name, value in env.items() if isinstance(value, str) and value != MASK}
    for name in short_secrets(texts, listed=texts.get(LIST, "")):
        allowed = Reason(Code.LONG_SECRET, {"number": SHORTEST, "name": name})
        why = Reason(Code.SECRET_TOO_SHORT, {"field": name, "what": allowed})
        found = Reason(Code.CHARACTERS_OF_SECRET, {"number": len(texts[name].strip())})
        yield Finding(("task_env", name), why, found, allowed)


def short_secrets(env: Mapping[str, str], *, listed: str = "") -> list[str]:
    """Return the names of secrets that are too short to be masked; empty values are not secrets."""
    found = secret_variables(env, listed=listed)
    return [name for name, value in found.items() if 0 < len(value.strip()) < SHORTEST]


def passwords(value: str) -> Iterator[str]:
    """Yield the passwords in the URLs of a text, as written and decoded."""
    for url in URL.findall(value) if "@" in value else ():
        _name, colon, password = user_of_url(url).partition(":")
        if colon and password:
            yield password
            yield unquote(password)


def channel_secrets(channel: Mapping[str, Any], *, shows_address: bool = True) -> Iterator[str]:
    """Yield the values of a channel of task_notify to mask wherever they may be repeated.

    Args:
        shows_address: whether the reader may see the part of its address after the host.
    """
    kind = kind_of(channel)
    for name, secret in () if kind is None else kind.secrets.items():
        yield from secret.unsaid(channel.get(name), shows_address=shows_address)
