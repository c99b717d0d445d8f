"""Which tables of time zones this process uses: the newer of the system's and the Python package tzdata.

`zoneinfo` alone prefers the tables of the system, however old they are, and never looks at the package where the system
has a zone. The other tables stay behind the newer ones, for names that only they have.
"""

from __future__ import annotations

import importlib.util
import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

VERSION = re.compile(r'(?:IANA_VERSION = "|# version |\A)((?:19|20)[0-9]{2}[a-z]{1,2})\b')
#: Where `zoneinfo` looks by itself; PYTHONTZPATH replaces it.
SYSTEM_FOLDERS = tuple(zoneinfo.TZPATH)
FILES_WITH_VERSION = ("tzdata.zi", "+VERSION", "version")


@dataclass(frozen=True)
class Tables:
    """Tables of time zones.

    Attributes:
        version: of the IANA database, such as ``2026a``; empty if it is unknown.
        is_package: whether they belong to the Python package tzdata.
    """

    folder: Path
    version: str
    is_package: bool

    def is_older_than_a_year(self, today: date) -> bool:
        """Return whether they are certainly older than a year; their version tells the year only."""
        return self.version != "" and today.year > int(self.version[:4]) + 1


def find_tables(system: Sequence[str], package: Path | None) -> list[Tables]:
    """Return the tables of the system and of the package, as far as they exist, the ones to use first.

    Tables of an unknown version come last; of two with the same version, those of the system come first.
    """
    found = [Tables(folder, _version_of(folder), is_package=False) for folder in map(Path, system)]
    found = [tables for tables in found if (tables.folder / "UTC").is_file() or tables.version][:1]
    if package is not None:
        found.append(Tables(package, _version_of(package.parent, "__init__.py"), is_package=True))
    return sorted(found, key=lambda tables: _rank(tables.version), reverse=True)


def _rank(version: str) -> tuple[str, int, str]:
    return version[:4], len(version), version


def _version_of(folder: Path, *names: str) -> str:
    for name in names or FILES_WITH_VERSION:
        try:
            with (folder / name).open(encoding="utf-8", errors="replace") as file:
                match = VERSION.search(file.read(1000))
        except OSError:
            continue
        if match is not None:
            return match[1]
    return ""


def _package() -> Path | None:
    spec = importlib.util.find_spec("tzdata")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "zoneinfo"


_used: list[Tables] = []


def refresh() -> bool:
    """Use the newest tables from now on; return whether they are others than before.

    Whoever keeps results of zones must drop them then; see `scheduler.engine.zones.forget_zones`.
    """
    found = find_tables(SYSTEM_FOLDERS, _package())
    if found == _used:
        return False
    _used[:] = found
    rest = [folder for folder in SYSTEM_FOLDERS if Path(folder) not in {tables.folder for tables in found}]
    zoneinfo.reset_tzpath([*(str(tables.folder) for tables in found), *rest])
    zoneinfo.ZoneInfo.clear_cache()
    return True


def used_tables() -> Sequence[Tables]:
    """Return the tables in use: the first one has the zones, the others those that it lacks."""
    return tuple(_used)
