"""A pigeon in the form of a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from notifications.channels.drafts import ChannelDraft, SecretDraft, Sent


@dataclass
class PigeonDraft(ChannelDraft):
    """Loft and ring."""

    loft: str = ""
    ring: SecretDraft = field(default_factory=SecretDraft)

    has_subject: ClassVar = False
    allowed: ClassVar = {"loft": "A loft of at most 50 characters."}

    @property
    def secrets(self) -> Sequence[SecretDraft]:
        """The ring."""
        return [self.ring]

    def fill_own(self, config: Mapping[str, Any]) -> None:
        """Take what is stored, without the ring."""
        self.loft = str(config.get("loft", ""))
        self.ring = SecretDraft(kept="1" if config.get("ring") else "")

    def take_own(self, sent: Sent, stored: Mapping[str, Any]) -> None:
        """Take what was typed."""
        self.loft = sent.text("loft")
        self.ring = SecretDraft(typed=sent.text("ring"), kept="1" if stored.get("ring") else "")

    def own_words(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return loft and ring."""
        return {"loft": self.loft, "ring": self.ring.value(stored.get("ring"))}
