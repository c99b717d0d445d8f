"""The form fields of an Apprise channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from notifications.channels.drafts import ChannelDraft, SecretDraft, Sent, key_in
from scheduler.config_file.url_masking import masked_url


@dataclass
class AppriseDraft(ChannelDraft):
    """The URLs; `kept` is the position of a stored one, from 1."""

    urls: list[SecretDraft] = field(default_factory=lambda: [SecretDraft()])

    allowed: ClassVar = {
        "urls": _("From 1 to 20 Apprise URLs such as ntfy://topic are allowed."),
    }

    @property
    def secrets(self) -> Sequence[SecretDraft]:
        """The URLs."""
        return self.urls

    def rows(self, name: str) -> Sequence[SecretDraft]:
        """Return the URLs."""
        return self.urls if name == "urls" else ()

    def fill_own(self, config: Mapping[str, Any]) -> None:
        """Read the schemes of the stored URLs."""
        self.urls = [
            SecretDraft(kept=str(place + 1), shown=_scheme(url))
            for place, url in enumerate(config.get("urls", []))
        ]

    def take_own(self, sent: Sent, stored: Mapping[str, Any]) -> None:
        """Read the submitted and the kept URLs."""
        rows = zip(sent.texts("url_typed"), sent.texts("url_kept"), strict=False)
        urls = [
            SecretDraft(typed=typed.strip(), kept=kept, shown=_scheme(_at(stored.get("urls"), kept)))
            for typed, kept in rows
            if typed.strip() or kept
        ]
        self.urls = urls or [SecretDraft()]

    def own_words(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the URLs."""
        filled = [url for url in self.urls if url.typed or url.kept]
        return {"urls": [url.value(_at(stored.get("urls"), url.kept)) for url in filled]}


def _at(urls: Any, kept: str) -> str | None:
    """Return the URL at a position, from 1."""
    place = key_in(kept) or 0
    return str(urls[place - 1]) if isinstance(urls, list) and 0 < place <= len(urls) else None


def _scheme(url: Any) -> str:
    return masked_url(str(url)) if url else ""
