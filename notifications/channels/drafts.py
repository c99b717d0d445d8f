"""A channel in a rule form: the base class of the drafts of all kinds.

Submitted values stay text until the validator of config.json has judged them. Secrets are never rendered: their input
is empty and indicates that a value is stored; typing replaces it, leaving it empty keeps it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scheduler.config_file.line_breaks import with_lf
from scheduler.config_file.url_masking import MASK

MOST_ROWS = 200  # per list, read from a form; the validator's limits are lower
OF_ANOTHER_TARGET = gettext_lazy(
    "The stored value belongs to another address. Enter it again; it is kept only while scheme, host and port "
    "stay the same."
)

#: Stored channels by key, in `task_notify` format.
Configs = Mapping[int, Mapping[str, Any]]


def key_in(text: str) -> int | None:
    """Parse a primary key; None if the text is not one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@dataclass(frozen=True)
class Sent:
    """The submitted fields of one channel; `prefix` starts their names."""

    fields: QueryDict
    prefix: str

    def text(self, name: str) -> str:
        """Return one field, with LF line endings."""
        return str(with_lf(self.fields.get(f"{self.prefix}-{name}", "")))

    def texts(self, name: str) -> list[str]:
        """Return all fields of one name, of list rows."""
        return [str(value) for value in self.fields.getlist(f"{self.prefix}-{name}")[:MOST_ROWS]]


@dataclass
class SecretDraft:
    """A value that may be secret.

    Attributes:
        name: header name; empty for other values.
        kept: position in the stored channel; empty for a new value.
        shown: the part of the stored value that may be displayed.
    """

    typed: str = ""
    kept: str = ""
    name: str = ""
    shown: str = ""
    errors: list[str] = field(default_factory=list)

    def value(self, stored: Any, *, is_kept: bool = True) -> str:
        """Return the typed value or else the stored one; set the error if that is unavailable."""
        if self.typed or not self.kept:
            return self.typed
        if stored is None:
            self.errors.append(_("It is no longer stored. Enter it again."))
            return MASK
        if not is_kept:
            self.errors.append(str(OF_ANOTHER_TARGET))
            return MASK
        return str(stored)


@dataclass
class ChannelDraft(ABC):
    """One channel of a form.

    Each kind has a template ``form.html`` for its own fields, in which `channel` is this draft and the names of fields
    start with `c`.

    Attributes:
        pk: primary key of the stored channel whose secrets it may keep.
        errors: error messages by field.
        allowed: accepted values of its own fields, in the language of the reader.
        has_subject: whether its messages have a subject besides the body.
        body_hint: description of the default body.
    """

    key: str
    kind: str
    pk: int | None = None
    subject_template: str = ""
    body_template: str = ""
    errors: dict[str, list[str]] = field(default_factory=dict)

    allowed: ClassVar[Mapping[str, Any]] = {}
    has_subject: ClassVar[bool] = True
    body_hint: ClassVar[Any] = gettext_lazy("default text")

    @property
    def form_template(self) -> str:
        """The template of its own fields."""
        return f"channels/{self.kind}/form.html"

    @property
    def has_texts(self) -> bool:
        """Whether it has texts of its own, or rejected ones."""
        own = self.subject_template or self.body_template
        return bool(own) or bool({"subject_template", "body_template"} & set(self.errors))

    @property
    def secrets(self) -> Sequence[SecretDraft]:
        """All values that may be secret."""
        return ()

    @property
    def has_bad_rows(self) -> bool:
        """Whether a kept value was removed or its target changed, or a name occurs twice."""
        return bool(self.errors) or any(secret.errors for secret in self.secrets)

    def rows(self, name: str) -> Sequence[SecretDraft]:
        """Return the rows of a list, to which errors of its items are attached."""
        return ()

    def fill(self, config: Mapping[str, Any]) -> None:
        """Read a stored channel, even an invalid one."""
        self.subject_template = str(config.get("subject_template", ""))
        self.body_template = str(config.get("body_template", ""))
        self.fill_own(config)

    def take(self, sent: Sent, configs: Configs) -> None:
        """Read the submitted fields."""
        self.subject_template = sent.text("subject_template")
        self.body_template = sent.text("body_template")
        self.take_own(sent, self.stored(configs))

    def stored(self, configs: Configs) -> Mapping[str, Any]:
        """Return the stored channel, or an empty mapping if there is none of this kind."""
        found = configs.get(self.pk or 0, {})
        return found if found.get("type") == self.kind else {}

    def words(self, configs: Configs) -> dict[str, Any]:
        """Return the channel in `task_notify` format, with the secrets it keeps."""
        words = {"type": self.kind, **self.own_words(self.stored(configs))}
        if self.has_subject:
            words["subject_template"] = self.subject_template
        return {**words, "body_template": self.body_template}

    def add_error(self, name: str, text: str, place: int | None) -> None:
        """Attach an error to its field, and in a list of secrets to its row."""
        rows = self.rows(name)
        if place is not None and place < len(rows):
            rows[place].errors.append(text)
        else:
            self.errors.setdefault(name, []).append(text)

    @abstractmethod
    def fill_own(self, config: Mapping[str, Any]) -> None:
        """Read the stored values of its own fields, even invalid ones."""

    @abstractmethod
    def take_own(self, sent: Sent, stored: Mapping[str, Any]) -> None:
        """Read the submitted values of its own fields."""

    @abstractmethod
    def own_words(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return its own fields in `task_notify` format, with the secrets they keep."""
