"""Many cases in one test: all run, and one failure lists those that do not hold."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache

from tests.support.cases import each_case

RUN: list[int] = []


@each_case("number", [1, 20, 3, 40, 5])
def small(number: int) -> None:
    RUN.append(number)
    assert number < 10, "it is large"


@each_case("one", [1, 2], ids=lambda value: f"one is {value}")
@each_case(("two", "three"), [(1, 1), pytest.param(2, 2, id="twos")])
def sums(one: int, two: int, three: int) -> None:
    raise ValueError(one + two + three)


def test_all_cases_run_and_one_failure_lists_those_that_do_not_hold() -> None:
    RUN.clear()

    with pytest.raises(pytest.fail.Exception) as caught:
        small()

    text = str(caught.value)
    assert RUN == [1, 20, 3, 40, 5]
    assert text.startswith("2 of 5 cases failed:\n\n- 20  (test_cases.py:")
    assert "- 40  (test_cases.py:" in text and text.count("AssertionError: it is large") == 2
    assert "- 3 " not in text


def test_a_single_failure_is_shown_as_it_is_with_the_name_of_its_case() -> None:
    with pytest.raises(AssertionError) as caught:
        each_case("number", [1, 20])(small.test_of_a_case)()  # type: ignore[attr-defined]

    assert caught.value.__notes__ == ["case: 20"]


def test_stacked_cases_are_every_combination_and_are_named() -> None:
    with pytest.raises(pytest.fail.Exception) as caught:
        sums()

    text = str(caught.value)
    assert text.startswith("4 of 4 cases failed:")
    for name, total in [
        ("1, 1 | one is 1", 3),
        ("1, 1 | one is 2", 4),
        ("twos | one is 1", 5),
        ("twos | one is 2", 6),
    ]:
        assert f"- {name}  (" in text and f"ValueError: {total}" in text


def test_a_test_without_a_case_fails() -> None:
    with pytest.raises(AssertionError, match="there is no case"):
        each_case("number", [])(small.test_of_a_case)()  # type: ignore[attr-defined]


@each_case("name", ["first", "second"])
@pytest.mark.django_db
def test_rows_and_kept_answers_of_a_case_are_gone_in_the_next(name: str) -> None:
    assert not Group.objects.exists()
    assert cache.get("name") is None

    Group.objects.create(name=name)
    cache.set("name", name)


@each_case("name", ["first", "second"])
def test_folders_patches_and_output_of_a_case_are_its_own(
    name: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from os import environ
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    assert not list(tmp_path.iterdir()) and "A_CASE" not in environ

    (tmp_path / "file").touch()
    monkeypatch.setenv("A_CASE", name)
    print(name)

    assert capsys.readouterr().out == f"{name}\n"


def test_cases_that_wait_for_each_other_end_together() -> None:
    meeting = threading.Barrier(3)

    @each_case("number", [1, 2, 3], together=True)
    def waiting(number: int) -> None:
        meeting.wait(10)
        assert number != 2, "it is two"

    with pytest.raises(AssertionError) as caught:
        waiting()

    assert caught.value.__notes__ == ["case: 2"]
