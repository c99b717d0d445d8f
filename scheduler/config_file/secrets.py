"""Secrets in notification rules: they go in, and come out masked; a mask that comes back means what stands there.

Secret are the key of a webhook's signature, the values of its headers, and Apprise URLs behind their scheme. The
address of a webhook may be a secret too, and is shown to those only who may change it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from scheduler.config_file.fast_check import definition_check
from scheduler.config_file.problems import ConfigError, Finding, Keys, field_name, shorten

MASK = "••••••"


def masked_rule(rule: Mapping[str, Any], *, shows_address: bool) -> dict[str, Any]:
    """Return a rule in the words of task_notify without its secrets."""
    channels = [masked_channel(channel, shows_address=shows_address) for channel in rule["channels"]]
    return {**rule, "channels": channels}


def masked_channel(channel: Mapping[str, Any], *, shows_address: bool) -> dict[str, Any]:
    """Return a channel in the words of task_notify without its secrets."""
    shown = dict(channel)
    if shown.get("secret"):
        shown["secret"] = MASK
    if "headers" in shown:
        shown["headers"] = dict.fromkeys(shown["headers"], MASK)
    if "urls" in shown:
        shown["urls"] = [_masked_url(url) for url in shown["urls"]]
    if "url" in shown and not shows_address:
        shown["url"] = _origin(shown["url"])
    return shown


def _masked_url(url: str) -> str:
    return f"{url.partition('://')[0]}://{MASK}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    is_whole = parts.path in ("", "/") and not parts.query and host == parts.netloc
    return url if is_whole else f"{parts.scheme}://{host}/{MASK}"


def with_kept_values(data: Mapping[str, Any], stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the fields of a task, valid or not, with what is stored where they have masks.

    Args:
        stored: the task in the words of config.json; None: it is new.

    Raises:
        ConfigError: a mask stands for nothing.
    """
    new, findings = _unmasked_task(data, stored or {})
    if findings:
        raise ConfigError([finding.as_problem("") for finding in findings])
    return new


def find_masks(task: Mapping[str, Any]) -> list[Finding]:
    """Return the masks in a task of a file, which holds the secrets themselves: a page shows masks, an export none."""
    return _unmasked_task(task, {})[1]


def _unmasked_task(
    data: Mapping[str, Any], before: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Finding]]:
    """Return a task with what stood in `before` where it has masks, and the masks that stand for nothing."""
    findings: list[Finding] = []
    new = dict(data)
    if isinstance(new.get("task_env"), dict):
        known = before.get("task_env", {})
        new["task_env"] = {
            name: value if value != MASK else _kept(_value(known, name), ("task_env", str(name)), findings)
            for name, value in new["task_env"].items()
        }
    if isinstance(new.get("task_notify"), list):
        rules = before.get("task_notify", [])
        new["task_notify"] = [
            _kept_rule(rule, rules[place] if place < len(rules) else None, place, findings)
            for place, rule in enumerate(new["task_notify"])
        ]
    return new, findings


def _value(known: Mapping[str, str], name: str) -> Iterator[str]:
    if name in known:
        yield known[name]


def _kept_rule(rule: object, stored: Mapping[str, Any] | None, place: int, findings: list[Finding]) -> object:
    if not definition_check("rule")(rule):
        return rule
    kept, missing = with_kept_secrets(cast("dict[str, Any]", rule), stored)
    findings += [finding.below(("task_notify", place)) for finding in missing]
    return kept


def with_kept_secrets(
    rule: Mapping[str, Any], stored: Mapping[str, Any] | None
) -> tuple[dict[str, Any], list[Finding]]:
    """Return a valid rule with the secrets of the stored one where it has masks, and masks that stand for nothing."""
    findings: list[Finding] = []
    channels = []
    before = [] if stored is None else stored["channels"]
    for index, channel in enumerate(rule["channels"]):
        same = [old for old in before if old["type"] == channel["type"]]
        if index < len(before) and before[index] in same:
            same = [before[index], *(old for old in same if old is not before[index])]
        channels.append(_unmasked(channel, same, ("channels", index), findings))
    return {**rule, "channels": channels}, findings


def _unmasked(
    channel: Mapping[str, Any], stored: Sequence[Mapping[str, Any]], path: Keys, findings: list[Finding]
) -> dict[str, Any]:
    new = dict(channel)
    if new.get("secret") == MASK:
        new["secret"] = _kept(
            (old["secret"] for old in stored if old.get("secret")), (*path, "secret"), findings
        )
    if "headers" in new:
        new["headers"] = {
            name: value
            if value != MASK
            else _kept(
                (old["headers"][name] for old in stored if name in old.get("headers", {})),
                (*path, "headers", name),
                findings,
            )
            for name, value in new["headers"].items()
        }
    for index, url in enumerate(new.get("urls", ())):
        if url.endswith(f"://{MASK}"):
            known = [old for one in stored for old in one["urls"] if _masked_url(old) == url]
            here = [one["urls"][index] for one in stored[:1] if index < len(one["urls"])]
            first = [old for old in here if _masked_url(old) == url]
            urls = list(new["urls"])
            urls[index] = _kept(iter([*first, *known]), (*path, "urls", index), findings)
            new["urls"] = urls
    if MASK in new.get("url", ""):
        known = [old["url"] for old in stored if _origin(old["url"]) == new["url"]]
        new["url"] = _kept(iter(known), (*path, "url"), findings)
    return new


def _kept(found: Any, path: Keys, findings: list[Finding]) -> str:
    value = next(iter(found), None)
    if value is not None:
        return str(value)
    message = f"{field_name(path)} is the mask of a secret, and none is stored here"
    findings.append(Finding(path, message, shorten(MASK), "the secret itself"))
    return ""
