"""Many cases in one test: all of them run, and one failure lists those that do not hold."""

from __future__ import annotations

import functools
import inspect
import itertools
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from tests.support.isolation import forget_kept_rows

LINES_OF_A_FAILURE = 12
FAILURES_SHOWN = 40
TESTS = f"{Path(__file__).parents[1]}/"


@dataclass(frozen=True)
class Case:
    """One set of arguments and the name that a failure shows."""

    name: str
    arguments: dict[str, Any]


def each_case(
    names: str | Sequence[str],
    values: Iterable[Any],
    *,
    ids: Callable[[Any], object] | Iterable[str] | None = None,
    together: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test once with each set of arguments, like `pytest.mark.parametrize`, as one test.

    Args:
        together: in a thread each, for cases that wait for a time; they must share nothing that they change.

    All cases share the fixtures of the test, so that a case costs no more than its own lines. What a case
    leaves behind is undone before the next one: rows (when the test has a database that is rolled back), the
    cache, the language, what `monkeypatch` changed, what `caplog` and `capsys` hold; `tmp_path` is a folder for
    each case; a fixture with a method `forget` is told to forget. Decorators may be stacked: then every
    combination is a case.
    """
    words = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    cases = list(_cases(words, list(values), ids))

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        inner = getattr(function, "cases", [Case("", {})])
        test = getattr(function, "test_of_a_case", function)
        joined = [_joined(one, other) for one, other in itertools.product(inner, cases)]

        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            start = _run_beside if together else _run_alone
            fail_once(joined, lambda case: start(test, {**fixtures, **case.arguments}), together=together)

        signature = inspect.signature(test)
        taken = set(joined[0].arguments) if joined else set(words)
        left = [parameter for name, parameter in signature.parameters.items() if name not in taken]
        run.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        run.cases, run.test_of_a_case = joined, test  # type: ignore[attr-defined]
        return run

    return decorate


def fail_once(cases: Sequence[Case], check: Callable[[Case], None], *, together: bool = False) -> None:
    """Check every case; then fail with a list of those that failed, or with the one failure as it is.

    A case may be skipped as a test may; when all are, the test is.
    """
    assert cases, "there is no case"
    failures: list[tuple[Case, BaseException]] = []
    skips: list[BaseException] = []
    with ThreadPoolExecutor(len(cases) if together else 1) as threads:
        start = threads.map if together else map
        for case, end in zip(cases, start(lambda case: _end_of(check, case), cases), strict=True):
            if isinstance(end, pytest.skip.Exception):
                skips.append(end)
            elif end is not None:
                failures.append((case, end))
    if len(skips) == len(cases):
        raise skips[0]
    if len(failures) == 1:
        [(case, failure)] = failures
        failure.add_note(f"case: {case.name}")
        raise failure
    if failures:
        pytest.fail(_listed(failures, len(cases)), pytrace=False)


def _end_of(check: Callable[[Case], None], case: Case) -> BaseException | None:
    """Return what a case raised."""
    try:
        check(case)
    except (Exception, pytest.fail.Exception, pytest.skip.Exception) as end:
        return end
    return None


def _cases(names: list[str], values: list[Any], ids: Any) -> Iterator[Case]:
    texts = None if ids is None or callable(ids) else list(ids)
    for number, value in enumerate(values):
        name = texts[number] if texts else None
        if isinstance(value, type(pytest.param())):
            assert not value.marks, "cases of one test have no marks of their own"
            name, value = value.id, (value.values if len(names) > 1 else value.values[0])
        parts = tuple(value) if len(names) > 1 else (value,)
        assert len(parts) == len(names), f"{names} in {value!r}"
        if callable(ids):
            name = ", ".join(str(ids(part)) for part in parts)
        yield Case(name or ", ".join(_short(part) for part in parts), dict(zip(names, parts, strict=True)))


def _short(value: Any) -> str:
    text = getattr(value, "__name__", None) or repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _joined(one: Case, other: Case) -> Case:
    return Case(" | ".join(filter(None, (one.name, other.name))), {**one.arguments, **other.arguments})


def _run_alone(test: Callable[..., None], arguments: dict[str, Any]) -> None:
    with ExitStack() as stack:
        if connection.in_atomic_block:
            stack.enter_context(_rolled_back())
        own = {name: _own(name, value, stack) for name, value in arguments.items()}
        stack.callback(forget_kept_rows)
        test(**own)


def _run_beside(test: Callable[..., None], arguments: dict[str, Any]) -> None:
    test(**arguments)


def _own(name: str, value: Any, stack: ExitStack) -> Any:
    """Return what one case is given for a fixture."""
    if name == "monkeypatch":
        return stack.enter_context(pytest.MonkeyPatch.context())
    if name == "tmp_path":
        return Path(tempfile.mkdtemp(prefix="case-", dir=value))
    if name == "caplog":
        value.clear()
    if name == "capsys":
        value.readouterr()
    if hasattr(value, "forget"):
        value.forget()
    return value


@contextmanager
def _rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _listed(failures: list[tuple[Case, BaseException]], count: int) -> str:
    lines = [f"{len(failures)} of {count} cases failed:"]
    for case, failure in failures[:FAILURES_SHOWN]:
        text = "".join(traceback.format_exception_only(failure)).strip().splitlines()
        lines += [
            "",
            f"- {case.name}  ({_place(failure)})",
            *(f"    {line}" for line in text[:LINES_OF_A_FAILURE]),
        ]
        if len(text) > LINES_OF_A_FAILURE:
            lines.append(f"    ... {len(text) - LINES_OF_A_FAILURE} lines more")
    if len(failures) > FAILURES_SHOWN:
        rest = ", ".join(case.name for case, _failure in failures[FAILURES_SHOWN:])
        lines += ["", f"and {len(failures) - FAILURES_SHOWN} more: {rest}"]
    return "\n".join(lines)


def _place(failure: BaseException) -> str:
    """Return file and line of the innermost line of a test that led to a failure."""
    frames = traceback.extract_tb(failure.__traceback__)
    inside = [f for f in frames if f.filename.startswith(TESTS) and f.filename != __file__]
    frame = (inside or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
