"""Sending a pigeon: it lands in a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from notifications.channels.base import Channel
from notifications.messages import default_texts, templates
from notifications.messages.context import Facts
from scheduler.engine.reasons import Reason
from tests.pigeon.definition import DEFINITION
from tests.pigeon.form import PigeonDraft
from tests.pigeon.reasons import Code
from tests.pigeon.wording import TEMPLATES


@dataclass
class PigeonChannel(Channel):
    """`landed` holds loft, ring and note of each bird."""

    definition: ClassVar = DEFINITION
    label: ClassVar = "Carrier pigeon"
    icon: ClassVar = "raven"
    target: ClassVar = ("loft",)
    draft: ClassVar = PigeonDraft
    reasons: ClassVar = TEMPLATES

    landed: list[tuple[str, str, str]] = field(default_factory=list)

    def compose(self, config: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Return the note."""
        template = config.get("body_template") or default_texts.texts_for(facts).body
        return {"note": templates.render(template, facts.values)}

    def send(
        self, config: Mapping[str, Any], content: Mapping[str, Any], *, key: str, deadline: float
    ) -> Reason:
        """Let the bird fly."""
        self.landed.append((config["loft"], config.get("ring", ""), content["note"]))
        return Reason(Code.BIRD_LANDED, {"ring": config.get("ring")})

    def describe(self, config: Mapping[str, Any]) -> list[str]:
        """Return the loft."""
        return [f"loft {config['loft']}"]

    def sample_answer(self, config: Mapping[str, Any]) -> str:
        """Say that it landed."""
        return "it landed"
