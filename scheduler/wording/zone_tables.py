"""What is said of the tables of time zones."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from schedsite.zone_data import Tables, used_tables


def describe_zone_tables(found: Sequence[Tables] | None = None) -> str:
    """Return which tables of time zones are used, and which are not, in the language of the reader."""
    names = [_named(tables) for tables in (used_tables() if found is None else found)]
    if len(names) < 2:
        return names[0] if names else _("none")
    return _("%(used)s; not used: %(unused)s") % {"used": names[0], "unused": names[1]}


def _named(tables: Tables) -> str:
    place = _("Python package tzdata") if tables.is_package else str(tables.folder)
    version = tables.version or _("unknown version")
    return f"{version} ({place})"
