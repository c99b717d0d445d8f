"""Which variables are secrets."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.config_file import ConfigError, validate_task
from scheduler.config_file.secret_values import is_secret_name, secret_values
from tests.support.cases import each_case

TASK: dict[str, Any] = {"task_id": "a", "task_name": "A", "task_exec": "true"}


@each_case(
    "name",
    [
        *("PASSWORD", "DB_PASSWORD", "PGPASSWORD", "MYSQL_PWD", "SMTP_PASS", "passwd", "SSH_PASSPHRASE"),
        *("SECRET", "CLIENT_SECRET", "AWS_SECRET_ACCESS_KEY", "VAULT_SECRET_ID", "SECRETS"),
        *("TOKEN", "GITHUB_TOKEN", "access_token", "TOKENS", "accessToken", "X-Auth-Token"),
        *("KEY", "API_KEY", "APIKEY", "OPENAIAPIKEY", "PRIVATE_KEY", "apiKey", "X-Api-Key"),
        *("CREDENTIALS", "GOOGLE_CREDENTIAL", "SENTRY_DSN", "Authorization", "BASIC_AUTH", "JWT", "Cookie"),
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@each_case(
    "name",
    [
        *("PWD", "OLDPWD", "REGION", "ENVIRONMENT", "PORT", "KEYBOARD", "MONKEY", "PASSENGERS", "AUTHOR"),
        *("PASSWORD_FILE", "SECRET_NAME", "TOKEN_URL", "KEY_PATH", "TOKEN_TTL", "PASSWORD_MIN_LENGTH"),
        *("PUBLIC_KEY", "SORT_KEY", "PARTITION_KEY", "CACHE_KEY", "_ENV_FILE", "_SECRETS", "", "__"),
        *("Content-Type", "TOKENIZER", "COMPASS", "BYPASS"),
    ],
)
def test_other_names_are_not(name: str) -> None:
    assert not is_secret_name(name)


def task(**env: str) -> Any:
    return validate_task({**TASK, "task_env": env})


def test_values_are_secrets_by_their_names_and_passwords_by_their_urls() -> None:
    env = {
        "STAGE": "production",
        "PORT": "8080",
        "DB_PASSWORD": "hunter2-horse",
        "DATABASE_URL": "postgres://bob:p%40ssword@db.example/app",
        "PROXIES": "http://a:first-word@p1.example http://b:other-word@p2.example",
        "PLAIN_URL": "https://example.org/a@b",
    }

    assert set(secret_values(env, task(**env))) == {
        *("hunter2-horse", "p%40ssword", "p@ssword", "first-word", "other-word")
    }


def test_a_list_names_more_and_takes_away() -> None:
    env = {"LICENCE": "abcdef-1", "SORT_TOKEN": "ascending", "STAGE": "production"}
    made = task(_SECRETS="LICENCE, -SORT_TOKEN", **env)

    assert secret_values(env, made) == ("abcdef-1",)


def test_secrets_of_the_rules_of_a_task_are_secrets_of_its_log() -> None:
    hook = {
        "type": "webhook",
        "url": "https://bob:canary-word@hooks.example.org/path",
        "headers": {"X-Token": "canary-header", "Content-Type": "application/json"},
        "secret": "canary-key",
    }
    apprise = {"type": "apprise", "urls": ["ntfy://canary@ntfy.example.org/a"]}
    made = validate_task({**TASK, "task_notify": [{"triggers": ["timeout"], "channels": [hook, apprise]}]})

    assert set(secret_values({}, made)) == {
        *("canary-word", "canary-header", "canary-key", "ntfy://canary@ntfy.example.org/a")
    }


def test_a_secret_that_is_too_short_to_be_masked_is_refused_when_it_is_saved() -> None:
    with pytest.raises(ConfigError) as caught:
        task(DB_PASSWORD="abc", STAGE="dev", TOKEN="", API_KEY="abcdef", LICENCE="x", _SECRETS="LICENCE")

    assert [str(problem) for problem in caught.value.problems] == [
        "task_env.DB_PASSWORD: DB_PASSWORD is too short to be masked in logs; it needs at least 6 characters for a "
        "secret, or “-DB_PASSWORD” in _SECRETS when it is none",
        "task_env.LICENCE: LICENCE is too short to be masked in logs; it needs at least 6 characters for a "
        "secret, or “-LICENCE” in _SECRETS when it is none",
    ]
    assert "abc" not in caught.value.problems[0].found
    assert task(SORT_TOKEN="asc", _SECRETS="-SORT_TOKEN")["task_env"]["SORT_TOKEN"] == "asc"


def test_what_is_too_short_and_stored_already_is_passed_over() -> None:
    assert secret_values({"PASSWORD": "abc", "TOKEN": "   abc   "}, task()) == ()
