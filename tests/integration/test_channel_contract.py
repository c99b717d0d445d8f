"""What holds for every kind of channel, shown with the corpus that stands in its package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.template.loader import render_to_string

from notifications.channels.base import Channel
from notifications.channels.registry import REGISTRY, register, unregister
from notifications.forms.drafts import RuleDraft
from notifications.messages.context import Facts
from notifications.services.definitions import validate_rule
from notifications.wording.rules import channel_words
from scheduler.config_file import ConfigError
from scheduler.config_file.kept_secrets import with_kept_secrets
from scheduler.config_file.masking import masked_channel, masked_rule
from tests.notify import FULL
from tests.pigeon.channel import PigeonChannel
from tests.support.cases import each_case

CHANNELS: list[Channel] = [*REGISTRY.values(), PigeonChannel()]
CORPORA: dict[str, Any] = {
    channel.kind: json.loads((channel.folder / "corpus.json").read_text(encoding="utf-8"))
    for channel in CHANNELS
}
VALID = [(channel, words) for channel in CHANNELS for words in CORPORA[channel.kind]["valid"]]
REFUSED = [
    (case["channel"], case["path"]) for channel in CHANNELS for case in CORPORA[channel.kind]["refused"]
]


@pytest.fixture(autouse=True)
def pigeons() -> Iterator[None]:
    """Let rules send pigeons during a test."""
    register(PigeonChannel())
    yield
    unregister("pigeon")


def rule(*channels: dict[str, Any]) -> dict[str, Any]:
    """Return a rule with these channels, in its normal form."""
    return validate_rule({"triggers": ["timeout"], "channels": list(channels)})


def config_of(words: dict[str, Any]) -> dict[str, Any]:
    """Return what a row keeps of a channel."""
    return {name: value for name, value in rule(words)["channels"][0].items() if name != "type"}


def tells_a_secret(channel: Channel, shown: object) -> bool:
    """Return whether a secret of the corpus stands in what is shown."""
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
    return any(secret in text for secret in CORPORA[channel.kind]["secrets"])


@each_case(("channel", "words"), VALID)
def test_a_channel_of_the_corpus_is_valid_and_stays_as_it_is(channel: Channel, words: dict[str, Any]) -> None:
    [normal] = rule(words)["channels"]

    assert {**normal, **words} == normal
    assert rule(normal)["channels"] == [normal]


@each_case(("words", "path"), REFUSED)
def test_what_the_corpus_says_is_wrong_is_refused_at_its_place(words: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        rule(words)

    assert [problem.path for problem in refused.value.problems] == [f"channels[0].{path}"]


@each_case(("channel", "words"), VALID)
def test_no_secret_is_shown_and_masks_that_come_back_mean_the_secrets(
    channel: Channel, words: dict[str, Any]
) -> None:
    stored = rule(words)

    for shows_address in (True, False):
        assert not tells_a_secret(channel, masked_channel(words, shows_address=shows_address))
    assert with_kept_secrets(masked_rule(stored, shows_address=True), stored) == (stored, [])
    assert not tells_a_secret(channel, channel_words(channel.kind, config_of(words)))


@each_case(("channel", "words"), VALID)
def test_its_form_shows_no_secret_and_says_what_is_stored(channel: Channel, words: dict[str, Any]) -> None:
    stored = {"type": channel.kind, **config_of(words)}
    draft = channel.draft(key="c0", kind=channel.kind, pk=1)
    draft.fill(stored)
    shown = render_to_string(
        "notifications/_channel.html", {"draft": RuleDraft(key="r0"), "channel": draft, "is_new": False}
    )

    assert rule(draft.words({1: stored}))["channels"] == [stored]
    assert not draft.has_bad_rows and not tells_a_secret(channel, shown)


@each_case(("channel", "words"), VALID)
def test_what_it_composes_is_stored_and_shown_without_a_secret(
    channel: Channel, words: dict[str, Any]
) -> None:
    content = channel.compose(config_of(words), Facts(FULL, "timeout", "en"))
    shown = render_to_string(f"channels/{channel.kind}/content.html", {"content": content})

    assert json.loads(json.dumps(content)) == content
    assert not tells_a_secret(channel, [content, shown]) and "<" in shown


@each_case(("channel", "words"), VALID)
def test_it_says_where_it_goes_and_what_the_other_side_answers(
    channel: Channel, words: dict[str, Any]
) -> None:
    config = config_of(words)

    assert all(channel.describe(config)) and str(channel.sample_answer(config))
    assert set(channel.target) <= set(channel.definition.schema["properties"])
    assert channel.definition.example()["type"] == channel.kind
