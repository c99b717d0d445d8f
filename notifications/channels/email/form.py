"""The form fields of an email channel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from notifications.channels.drafts import ChannelDraft, Sent

SEPARATORS = re.compile(r"[\s,;，；]+")


@dataclass
class EmailDraft(ChannelDraft):
    """The recipients as typed."""

    recipients: str = ""

    allowed: ClassVar = {
        "recipients": _("Mail addresses such as ops@example.org are allowed, from 1 to 100."),
    }

    def fill_own(self, config: Mapping[str, Any]) -> None:
        """Read the stored recipients, one per line."""
        self.recipients = "\n".join(str(address) for address in config.get("recipients", []))

    def take_own(self, sent: Sent, stored: Mapping[str, Any]) -> None:
        """Read the submitted text."""
        self.recipients = sent.text("recipients")

    def own_words(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the recipients."""
        return {"recipients": [text for text in SEPARATORS.split(self.recipients) if text]}
