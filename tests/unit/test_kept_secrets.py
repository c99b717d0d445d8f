"""Masks that come back: what they mean, and when they mean nothing."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from scheduler.config_file import ConfigError
from scheduler.config_file.kept_secrets import with_kept_secrets, with_kept_values
from scheduler.config_file.masking import masked_channel, masked_rule
from scheduler.config_file.targets import target_of_url
from scheduler.config_file.url_masking import MASK
from tests.support.cases import each_case

HOOK = {
    "type": "webhook",
    "url": "https://hooks.example.org/a",
    "headers": {"X-Token": "canary-header"},
    "secret": "canary-key",
}
NTFY = {"type": "apprise", "urls": ["ntfy://canary@ntfy.example.org/a"]}
OTHER_TARGET = "is the mask of a secret stored for another target; enter the secret again"
NONE_STORED = "is a mask, but no secret is stored here; enter the secret"
SEVERAL = "is the mask of several stored secrets; enter the secret again"
ALLOWED = "the secret; its mask only if kind, scheme, host and port are unchanged"


def rule(*channels: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"triggers": ["timeout"], "channels": list(channels), **fields}


def masked(channel: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**masked_channel(channel, shows_address=True), **changes}


def kept(new: dict[str, Any], stored: dict[str, Any]) -> list[dict[str, Any]]:
    channels, findings = with_kept_secrets(new, stored)
    assert findings == []
    found: list[dict[str, Any]] = channels["channels"]
    return found


def refusals(new: dict[str, Any], stored: dict[str, Any] | None) -> list[str]:
    return [str(finding.why) for finding in with_kept_secrets(new, stored)[1]]


SAME = [
    ("https://hooks.example.org/a", "https://hooks.example.org/other?path=1"),
    ("https://hooks.example.org/a", "HTTPS://Hooks.Example.ORG/a"),
    ("https://hooks.example.org/a", "https://hooks.example.org./a"),
    ("https://hooks.example.org/a", "https://hooks.example.org:443/a"),
    ("http://hooks.example.org/a", "http://hooks.example.org:80/a"),
    ("https://bücher.example/a", "https://xn--bcher-kva.example/a"),
    ("https://BÜCHER.example/a", "https://bücher.example/a"),
    ("https://[2001:db8::1]/a", "https://[2001:0db8:0:0::1]:443/a"),
    ("https://hooks.example.org:8443/a", "https://hooks.example.org:08443/a"),
]
ELSEWHERE = [
    "https://evil.example/a",
    "https://hooks.example.org.evil.example/a",
    "https://sub.hooks.example.org/a",
    "https://example.org/a",
    "http://hooks.example.org/a",
    "https://hooks.example.org:8443/a",
    "https://hooks.example.org:80/a",
    "https://hooks.example.org@evil.example/a",
    "https://hooks.example.org:443@evil.example/a",
    "https://evil.example#@hooks.example.org/a",
    "https://evil.example?@hooks.example.org/a",
    "https://evil.example\\@hooks.example.org/a",
    "https://hooks.example.org\\.evil.example/a",
    "https://hooks\u2024example.org/a",
    "https://[::1/a",
]


@each_case(("stored", "new"), SAME)
def test_secrets_are_kept_for_the_same_host_however_it_is_written(stored: str, new: str) -> None:
    [channel] = kept(rule(masked(HOOK, url=new)), rule({**HOOK, "url": stored}))

    assert (channel["url"], channel["secret"]) == (new, "canary-key")
    assert channel["headers"] == {"X-Token": "canary-header"}


@each_case("url", ELSEWHERE)
def test_secrets_are_asked_for_again_when_scheme_host_or_port_change(url: str) -> None:
    new, findings = with_kept_secrets(rule(masked(HOOK, url=url)), rule(HOOK))

    assert [(str(finding.why), str(finding.wanted)) for finding in findings] == [
        (f"secret {OTHER_TARGET}", ALLOWED),
        (f"X-Token {OTHER_TARGET}", ALLOWED),
    ]
    assert "canary" not in repr(new)


def test_hosts_that_only_older_rules_take_for_the_same_are_not() -> None:
    assert target_of_url("https://faß.example/") != target_of_url("https://fass.example/")


def test_the_kind_of_a_channel_must_stay() -> None:
    generic = {"type": "apprise", "urls": ["json://canary@hooks.example.org/a"]}

    assert refusals(rule(masked(HOOK)), rule(generic)) == [f"secret {NONE_STORED}", f"X-Token {NONE_STORED}"]
    assert refusals(rule(masked(NTFY)), rule(HOOK)) == [f"urls[0] {NONE_STORED}"]


def test_user_and_password_of_an_address_are_masked_and_kept_for_the_same_host_only() -> None:
    stored = {"type": "webhook", "url": "https://bob:canary@hooks.example.org/a?b=c@d"}

    shown = masked(stored)
    assert shown["url"] == f"https://{MASK}@hooks.example.org/a?b=c@d"
    assert kept(rule(shown), rule(stored))[0]["url"] == stored["url"]
    moved = {**shown, "url": f"https://{MASK}@hooks.example.org/other"}
    assert kept(rule(moved), rule(stored))[0]["url"] == "https://bob:canary@hooks.example.org/other"
    away = {**shown, "url": f"https://{MASK}@evil.example/a"}
    assert refusals(rule(away), rule(stored)) == [f"url {OTHER_TARGET}"]


def test_an_address_that_is_masked_behind_its_host_is_kept() -> None:
    shown = {**masked_channel(HOOK, shows_address=False)}

    assert shown["url"] == f"https://hooks.example.org/{MASK}"
    assert kept(rule(shown), rule(HOOK)) == [HOOK]
    away = {**shown, "url": f"https://evil.example/{MASK}"}
    assert refusals(rule(away), rule(HOOK))[0] == f"url {OTHER_TARGET}"


@each_case(
    ("channel", "field"),
    [
        (masked(HOOK, headers={"X-Token": f"Bearer {MASK}"}), "X-Token"),
        (masked(HOOK, secret=f"{MASK}x"), "secret"),
        (masked(HOOK, url=f"https://hooks.example.org/a?token={MASK}"), "url"),
        (masked(HOOK, url=f"https://bob:{MASK}@hooks.example.org/a"), "url"),
        (masked(NTFY, urls=[f"ntfy://evil.example/{MASK}"]), "urls[0]"),
        (masked(NTFY, urls=[f"ntfy://{MASK}@evil.example/a"]), "urls[0]"),
        (masked(NTFY, urls=[f"ntfy://{MASK}/?server=evil.example"]), "urls[0]"),
    ],
)
def test_a_mask_with_something_beside_it_is_no_secret(channel: dict[str, Any], field: str) -> None:
    stored = rule(HOOK) if channel["type"] == "webhook" else rule(NTFY)

    assert f"{field} contains the mask of a secret; a mask must be the whole value" in refusals(
        rule(channel), stored
    )


def test_services_are_kept_by_their_scheme_only() -> None:
    assert kept(rule(masked(NTFY, urls=[f"NTFY://{MASK}"])), rule(NTFY)) == [NTFY]
    assert refusals(rule(masked(NTFY, urls=[f"ntfys://{MASK}"])), rule(NTFY)) == [f"urls[0] {NONE_STORED}"]


def test_services_of_one_scheme_are_kept_in_their_order_and_asked_for_when_it_is_not_clear() -> None:
    stored = {"type": "apprise", "urls": ["slack://one", "ntfy://two", "slack://three"]}

    again = masked(stored, urls=[f"ntfy://{MASK}", f"slack://{MASK}", "json://new", f"slack://{MASK}"])
    assert kept(rule(again), rule(stored))[0]["urls"] == [
        "ntfy://two",
        "slack://one",
        "json://new",
        "slack://three",
    ]
    fewer = masked(stored, urls=[f"slack://{MASK}"])
    assert refusals(rule(fewer), rule(stored)) == [f"urls[0] {SEVERAL}"]


def test_channels_that_change_places_keep_their_own_secrets() -> None:
    other = {**HOOK, "url": "https://hooks.example.org/b", "headers": {"X-Token": "other"}, "secret": "o"}

    assert kept(rule(masked(other), masked(HOOK)), rule(HOOK, other)) == [other, HOOK]
    assert kept(rule(masked(NTFY), masked(HOOK)), rule(HOOK, NTFY)) == [NTFY, HOOK]


def test_channels_of_two_hosts_that_swap_their_addresses_do_not_swap_their_secrets() -> None:
    other = {**HOOK, "url": "https://other.example/b", "headers": {"X-Token": "other"}, "secret": "o"}
    swapped = rule(masked(HOOK, url=other["url"]), masked(other, url=HOOK["url"]))

    assert kept(swapped, rule(HOOK, other)) == [other, HOOK]


def test_a_header_keeps_its_value_when_its_name_is_written_otherwise() -> None:
    [channel] = kept(rule(masked(HOOK, headers={"x-token": MASK})), rule(HOOK))

    assert channel["headers"] == {"x-token": "canary-header"}


def test_a_copy_of_a_channel_keeps_the_secrets_and_one_for_another_host_does_not() -> None:
    copies = rule(masked(HOOK), masked(HOOK), masked(HOOK, url="https://evil.example/a"))

    new, findings = with_kept_secrets(copies, rule(HOOK))

    assert new["channels"][:2] == [HOOK, HOOK]
    assert [finding.path for finding in findings] == [
        ("channels", 2, "secret"),
        ("channels", 2, "headers", "X-Token"),
    ]


def test_it_is_asked_when_several_secrets_could_be_meant() -> None:
    one = {**HOOK, "secret": "one"}
    two = {**HOOK, "url": "https://hooks.example.org/b", "secret": "two"}
    away = {"type": "email", "recipients": ["ops@example.org"]}
    new = rule(away, away, masked(HOOK, url="https://hooks.example.org/new", headers={}))

    assert refusals(new, rule(one, two)) == [f"secret {SEVERAL}"]


# --- rules of a task ------------------------------------------------------------------------------


def task(*rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"task_id": "a", "task_notify": list(rules), **fields}


def masked_task(*rules: dict[str, Any]) -> dict[str, Any]:
    return task(*(masked_rule(one, shows_address=True) for one in rules))


def test_rules_that_change_places_or_lose_a_neighbour_keep_their_own_secrets() -> None:
    first, second = rule(HOOK), rule({**HOOK, "url": "https://hooks.example.org/b", "secret": "second"})

    assert with_kept_values(masked_task(second, first), task(first, second)) == task(second, first)
    assert with_kept_values(masked_task(second), task(first, second)) == task(second)


def test_rules_of_one_look_keep_their_own_secrets_by_their_names() -> None:
    first, second = rule(HOOK, name="1"), rule({**HOOK, "secret": "second"}, name="2")

    assert with_kept_values(masked_task(second, first), task(first, second)) == task(second, first)


def test_a_channel_that_comes_from_another_rule_is_kept_for_its_own_host_only() -> None:
    first, second = rule(HOOK), rule({"type": "email", "recipients": ["ops@example.org"]})
    moved = task(second, rule(masked(HOOK)))

    assert with_kept_values(moved, task(first, second)) == task(second, rule(HOOK))
    with pytest.raises(ConfigError) as caught:
        with_kept_values(task(second, rule(masked(HOOK, url="https://evil.example/"))), task(first, second))
    assert [problem.path for problem in caught.value.problems] == [
        "task_notify[1].channels[0].secret",
        "task_notify[1].channels[0].headers.X-Token",
    ]


def test_variables_are_kept_by_their_names() -> None:
    stored = task(task_env={"A": "canary", "B": "2"})

    assert with_kept_values(task(task_env={"A": MASK, "B": "3"}), stored)["task_env"] == {
        "A": "canary",
        "B": "3",
    }
    with pytest.raises(
        ConfigError, match=r"task_env.C: C is a mask, but no secret is stored here; enter the secret"
    ):
        with_kept_values(task(task_env={"C": MASK}), stored)


def test_two_thousand_channels_of_one_host_with_masks_are_read_in_a_moment() -> None:
    headers = {f"H{number}": MASK for number in range(30)}
    full = {"type": "webhook", "url": "https://hooks.example.org/a"}
    stored = [
        rule(*({**full, "headers": {**headers, "H1": f"{place}-{number}"}} for number in range(20)))
        for place in range(100)
    ]
    mail = {"type": "email", "recipients": ["ops@example.org"]}
    new = [rule(mail, *({**full, "headers": headers} for _ in range(19))) for _ in range(100)]

    begin = process_time()
    with_kept_values(task(*new), task(*stored))

    assert process_time() - begin < 15  # looked for one by one it takes minutes
