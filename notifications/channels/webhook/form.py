"""The form fields of a webhook channel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications.channels.drafts import OF_ANOTHER_TARGET, ChannelDraft, SecretDraft, Sent
from notifications.channels.webhook.definition import METHODS
from scheduler.config_file.targets import is_same_target
from scheduler.config_file.url_masking import MASK, masked_user, user_of_url, with_user


@dataclass
class WebhookDraft(ChannelDraft):
    """The request; stored secrets are kept only while the target is unchanged."""

    url: str = ""
    method: str = METHODS[0]
    secret: SecretDraft = field(default_factory=SecretDraft)
    drops_secret: bool = False
    success_path: str = ""
    success_equals: str = ""
    headers: list[SecretDraft] = field(default_factory=list)

    has_subject: ClassVar = False
    body_hint: ClassVar = gettext_lazy("a JSON object with everything")
    methods: ClassVar = METHODS
    allowed: ClassVar = {
        "url": gettext_lazy("An http or https URL with a host is allowed, of at most 2,000 characters."),
        "headers": gettext_lazy(
            "Names of letters, digits, “_” and “-”, and values of one line are allowed; at most 50."
        ),
        "secret": gettext_lazy("At most 500 characters are allowed."),
        "success_when": gettext_lazy(
            "A field of the answer such as errcode or data.status is allowed, of at most 8 names without spaces, and a "
            "value of at most 200 characters."
        ),
        "method": gettext_lazy("POST, PUT, PATCH and GET are allowed."),
    }

    @property
    def secrets(self) -> Sequence[SecretDraft]:
        """The signing secret and the headers."""
        return (self.secret, *self.headers)

    @property
    def has_more(self) -> bool:
        """Whether any of the advanced fields is filled."""
        is_set = self.method != METHODS[0] or self.headers or self.secret.kept or self.secret.typed
        is_judged = self.success_path or self.success_equals
        return bool(is_set or is_judged or {"method", "headers", "secret", "success_when"} & set(self.errors))

    def fill_own(self, config: Mapping[str, Any]) -> None:
        """Read the stored channel, without secrets."""
        success = config.get("success_when") or {}
        self.url = masked_user(str(config.get("url", "")))
        self.method = str(config.get("method", METHODS[0]))
        self.secret = SecretDraft(kept="1" if config.get("secret") else "")
        self.success_path = str(success.get("path", ""))
        self.success_equals = _words_of_value(success["equals"]) if "equals" in success else ""
        self.headers = [SecretDraft(name=name, kept=name) for name in (config.get("headers") or {})]

    def take_own(self, sent: Sent, stored: Mapping[str, Any]) -> None:
        """Read the submitted fields."""
        self.url = sent.text("url")
        self.method = sent.text("method") or METHODS[0]
        self.secret = SecretDraft(typed=sent.text("secret"), kept="1" if stored.get("secret") else "")
        self.drops_secret = bool(sent.text("drops_secret"))
        self.success_path = sent.text("success_path")
        self.success_equals = sent.text("success_equals")
        names, values = sent.texts("header_name"), sent.texts("header_value")
        self.headers = [
            SecretDraft(typed=value, kept=kept, name=name.strip())
            for name, value, kept in zip(names, values, sent.texts("header_kept"), strict=False)
            if name.strip() or value or kept
        ]

    def own_words(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request."""
        is_kept = is_same_target(self.url.strip(), str(stored.get("url", "")))
        words: dict[str, Any] = {"url": self._address(stored, is_kept=is_kept), "method": self.method}
        words["headers"] = self._headers(stored.get("headers"), is_kept=is_kept)
        if self.success_path.strip() or self.success_equals.strip():
            equals = _value_in(self.success_equals.strip())
            words["success_when"] = {"path": self.success_path.strip(), "equals": equals}
        words["secret"] = ""
        if not self.drops_secret:
            words["secret"] = self.secret.value(stored.get("secret"), is_kept=is_kept)
        return words

    def _address(self, stored: Mapping[str, Any], *, is_kept: bool) -> str:
        """Return the URL with the stored user name and password if they are kept."""
        url = self.url.strip()
        user = user_of_url(str(stored.get("url", "")))
        if user_of_url(url) == MASK and is_kept and user:
            return with_user(url, user)
        if MASK in url:
            self.errors.setdefault("url", []).append(str(OF_ANOTHER_TARGET))
        return url

    def _headers(self, stored: Any, *, is_kept: bool) -> dict[str, str]:
        known = stored if isinstance(stored, dict) else {}
        headers: dict[str, str] = {}
        for header in self.headers:
            if header.name in headers:
                header.errors.append(_("This name appears twice."))
            headers[header.name] = header.value(known.get(header.kept), is_kept=is_kept)
        return headers


def _value_in(text: str) -> Any:
    """Parse a typed value: a JSON number, true, false, null or quoted string; anything else is text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, list | dict) else value


def _words_of_value(value: Any) -> str:
    """Return the text from which `_value_in` parses this value."""
    is_plain = isinstance(value, str) and value.strip() == value and _value_in(value) == value
    return str(value) if is_plain and value else json.dumps(value, ensure_ascii=False)
