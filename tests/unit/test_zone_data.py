"""Of two trees of time zones the newer one is used, it is named, and plans follow when they change."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from schedsite import zone_data
from schedsite.zone_data import find_tables
from scheduler.engine.schedules import next_slot, parse_schedule
from scheduler.engine.zones import forget_zones
from scheduler.management.checks import check_zone_tables
from scheduler.services.rescheduling import look_for_zone_tables
from scheduler.wording.zone_tables import describe_zone_tables
from tests.support.cases import each_case

ROOT = Path(__file__).resolve().parents[2]
NAME = "America/Vancouver"
SOURCE = zone_data.used_tables()[0].folder
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def tree(folder: Path, version: str, *, like: str) -> Path:
    """Write a tree in which Vancouver has the clocks of another zone."""
    (folder / "America").mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_bytes((SOURCE / like).read_bytes())
    (folder / "UTC").write_bytes((SOURCE / "UTC").read_bytes())
    (folder / "tzdata.zi").write_text(
        f"# version {version}\n# This zic input file is in the public domain.\n"
    )
    return folder


def package(folder: Path, version: str, *, like: str) -> Path:
    tree(folder / "zoneinfo", version, like=like)
    (folder / "zoneinfo" / "tzdata.zi").unlink()
    (folder / "__init__.py").write_text(
        "# IANA versions like 2020a are not valid PEP 440 identifiers\n"
        f'__version__ = "2026.6"\nIANA_VERSION = "{version}"\n'
    )
    return folder / "zoneinfo"


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    yield
    zone_data._used.clear()
    zone_data.refresh()
    forget_zones()


@each_case(
    ("system", "package_version", "first"),
    [
        ("2025b", "2026f", "2026f"),
        ("2026g", "2026f", "2026g"),
        ("2026f", "2026f", "2026f"),
        ("2025z", "2025aa", "2025aa"),
    ],
)
def test_the_newer_of_two_trees_is_used(system: str, package_version: str, first: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        here = tree(Path(name) / "system", system, like="Asia/Tokyo")
        there = package(Path(name) / "tzdata", package_version, like="Europe/Berlin")

        found = find_tables(["/nowhere", str(here)], there)

    assert found[0].version == first
    assert found[0].is_package is (first != system)
    assert len(found) == 2


def test_slots_follow_the_tables_in_use_and_plans_are_made_anew_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tree(tmp_path / "system", "2025b", like="Asia/Tokyo")
    there = package(tmp_path / "tzdata", "2026f", like="Asia/Shanghai")
    monkeypatch.setattr(zone_data, "SYSTEM_FOLDERS", (str(here), *zone_data.SYSTEM_FOLDERS))
    monkeypatch.setattr(zone_data, "_package", lambda: there)
    nine = parse_schedule("0 9 * * *", NAME)

    assert [look_for_zone_tables(), look_for_zone_tables()] == [True, False]
    by_package = next_slot(nine, NOON)
    tree(here, "2026g", like="Asia/Tokyo")
    assert [look_for_zone_tables(), look_for_zone_tables()] == [True, False]
    by_system = next_slot(nine, NOON)

    assert by_package == datetime(2026, 11, 29, 1, tzinfo=UTC)
    assert by_system == datetime(2026, 11, 29, 0, tzinfo=UTC)
    assert describe_zone_tables() == f"2026g ({here}); not used: 2026f (Python package tzdata)"
    assert zoneinfo.ZoneInfo("Europe/Berlin").key == "Europe/Berlin"  # only the folders behind have it


def test_tables_older_than_a_year_are_a_warning_if_both_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tree(tmp_path / "system", "2019c", like="Asia/Tokyo")
    monkeypatch.setattr(zone_data, "SYSTEM_FOLDERS", (str(here), *zone_data.SYSTEM_FOLDERS))
    monkeypatch.setattr(zone_data, "_package", lambda: package(tmp_path / "tzdata", "2020a", like="UTC"))
    look_for_zone_tables()
    old = check_zone_tables()
    tree(here, f"{datetime.now(UTC).year}a", like="Asia/Tokyo")
    look_for_zone_tables()

    assert [message.id for message in old] == ["scheduler.W005"]
    assert f"2020a (Python package tzdata); not used: 2019c ({here})" in old[0].msg
    assert check_zone_tables() == []
    assert not find_tables([str(here)], None)[0].is_older_than_a_year(
        date(datetime.now(UTC).year + 1, 12, 31)
    )


def test_check_names_both_and_pythontzpath_stands_for_the_system(tmp_path: Path) -> None:
    here = tree(tmp_path, "2025b", like="Asia/Tokyo")

    ended = subprocess.run(
        [sys.executable, "manage.py", "check", "--tag", "installation"],
        cwd=ROOT,
        env={**os.environ, "PYTHONTZPATH": str(here)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    version = find_tables([], zone_data._package())[0].version
    assert f"Time zone tables: {version} (Python package tzdata); not used: 2025b ({here})" in ended.stdout
