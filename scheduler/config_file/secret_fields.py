"""Kinds of secret fields of channels: their masked form, and the resolution of masks in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from scheduler.config_file.problems import Keys
from scheduler.config_file.secret_values import is_secret_name, passwords
from scheduler.config_file.url_masking import (
    MASK,
    masked_address,
    masked_url,
    masked_user,
    user_of_url,
    with_user,
)

#: Replaces a mask that cannot be resolved, so that no further problem of the field is reported.
MASKED_URL = f"https://example.org/{MASK}"


class Keeper(Protocol):
    """Gives access to the stored secrets, and records the masks that cannot be resolved."""

    def kept(self, secret: str, keys: Keys) -> str | None:
        """Return the stored secret of a name, or None if it is ambiguous or missing."""
        ...

    def all_kept(self, secret: str, places: Sequence[Keys]) -> list[str | None]:
        """Return the stored secrets of one name in order, one per place."""
        ...

    def refuse(self, keys: Keys) -> None:
        """Record a mask inside other text."""
        ...


class SecretField(Protocol):
    """A kind of secret field. Each secret of a field has a name by which it is matched: see `secrets`."""

    #: Whether the value is the target of the other secrets of the channel.
    is_address: ClassVar[bool]

    def masked(self, value: Any, *, shows_address: bool) -> Any:
        """Return the masked value; `shows_address` is True for users who may change the task."""
        ...

    def secrets(self, field: str, value: Any) -> Iterator[tuple[str, str]]:
        """Yield the candidates for masks in the field, as (name, secret)."""
        ...

    def unsaid(self, value: Any, *, shows_address: bool) -> Iterator[str]:
        """Yield the texts to mask wherever a log or a response repeats them."""
        ...

    def kept(self, field: str, value: Any, keeper: Keeper) -> Any:
        """Return a valid value with masks replaced by stored secrets."""
        ...


class SecretText:
    """A text that is secret as a whole."""

    is_address: ClassVar[bool] = False

    def masked(self, value: Any, *, shows_address: bool) -> Any:
        """Return the mask, if the text is not empty."""
        return MASK if value else value

    def secrets(self, field: str, value: Any) -> Iterator[tuple[str, str]]:
        """Yield the text."""
        if value:
            yield field, value

    def unsaid(self, value: Any, *, shows_address: bool) -> Iterator[str]:
        """Yield the text."""
        yield value or ""

    def kept(self, field: str, value: str, keeper: Keeper) -> str:
        """Return the stored text for a mask."""
        return _kept_text(value, field, (field,), keeper)


class SecretValues:
    """An object with visible names and secret values."""

    is_address: ClassVar[bool] = False

    def masked(self, value: Any, *, shows_address: bool) -> Any:
        """Return the names with masks."""
        return dict.fromkeys(value, MASK)

    def secrets(self, field: str, value: Any) -> Iterator[tuple[str, str]]:
        """Yield the values; names are case-insensitive."""
        by_name: dict[str, str] = {}
        for name, secret in (value or {}).items():
            by_name.setdefault(name.lower(), secret)
        yield from ((f"{field} {name}", secret) for name, secret in by_name.items())

    def unsaid(self, value: Any, *, shows_address: bool) -> Iterator[str]:
        """Yield the values with names that denote secrets."""
        yield from (secret for name, secret in (value or {}).items() if is_secret_name(name))

    def kept(self, field: str, value: Mapping[str, str], keeper: Keeper) -> dict[str, str]:
        """Return the object with masks replaced by stored values."""
        return {
            name: _kept_text(text, f"{field} {name.lower()}", (field, name), keeper)
            for name, text in value.items()
        }


class SecretAddress:
    """A web address: user and password are secret, and the part after the host is for users who may change it."""

    is_address: ClassVar[bool] = True

    def masked(self, value: Any, *, shows_address: bool) -> Any:
        """Return the address without user and password, or without everything after its host."""
        return masked_user(value) if shows_address else masked_address(value)

    def secrets(self, field: str, value: Any) -> Iterator[tuple[str, str]]:
        """Yield user and password, and the whole address."""
        if user := user_of_url(str(value or "")):
            yield f"{field} user", user
        if value and masked_address(value) != value:
            yield f"{field} address", value

    def unsaid(self, value: Any, *, shows_address: bool) -> Iterator[str]:
        """Yield the passwords in it, and the part after its host if that is not shown."""
        url = value or ""
        yield from passwords(url)
        if not shows_address and masked_address(url) != url:
            yield from (url, url.partition("://")[2].partition("/")[2])

    def kept(self, field: str, value: str, keeper: Keeper) -> str:
        """Return the stored address if the user, or the part after the host, is masked."""
        if MASK not in value:
            return value
        if user_of_url(value) == MASK and value.count(MASK) == 1:
            user = keeper.kept(f"{field} user", (field,))
            return MASKED_URL if user is None else with_user(value, user)
        if value == masked_address(value):
            return keeper.kept(f"{field} address", (field,)) or MASKED_URL
        keeper.refuse((field,))
        return MASKED_URL


class SecretUrls:
    """A list of service URLs, each secret after its scheme; the URLs contain their targets."""

    is_address: ClassVar[bool] = False

    def masked(self, value: Any, *, shows_address: bool) -> Any:
        """Return the schemes."""
        return [masked_url(url) for url in value]

    def secrets(self, field: str, value: Any) -> Iterator[tuple[str, str]]:
        """Yield the URLs; URLs of the same scheme share a name."""
        for url in value:
            yield f"{field} {masked_url(url).lower()}", url

    def unsaid(self, value: Any, *, shows_address: bool) -> Iterator[str]:
        """Yield the URLs."""
        yield from value or ()

    def kept(self, field: str, value: Sequence[str], keeper: Keeper) -> list[str]:
        """Return the stored URLs; masks of a scheme are resolved in order if their number equals that stored."""
        new, masks = list(value), dict[str, list[int]]()
        for index, url in enumerate(value):
            if url == masked_url(url):
                masks.setdefault(f"{field} {url.lower()}", []).append(index)
            elif MASK in url:
                keeper.refuse((field, index))
                new[index] = MASKED_URL
        for name, places in masks.items():
            known = keeper.all_kept(name, [(field, index) for index in places])
            for index, url_or_none in zip(places, known, strict=True):
                new[index] = url_or_none or MASKED_URL
        return new


def _kept_text(value: str, secret: str, keys: Keys, keeper: Keeper) -> str:
    if MASK not in value:
        return value
    if value == MASK:
        return keeper.kept(secret, keys) or ""
    keeper.refuse(keys)
    return ""
