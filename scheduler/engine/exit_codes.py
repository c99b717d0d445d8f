"""`task_exit_codes`: the mapping from exit codes to outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from scheduler.choices import BY_EXIT_CODE
from scheduler.engine.reasons import Code, Reason

OUTCOMES = tuple(status.value for status in BY_EXIT_CODE)
NO_RETRY = "no_retry"
HIGHEST = 255
WITHOUT_A_MAP: Mapping[int, str] = {0: "success", 1: "business_failure"}  # other codes: technical failure

Codes = Sequence[int | str]
Path = tuple[str | int, ...]


def codes_of(item: float | str) -> range:
    """Return the codes of a list item: a single code, or a range such as ``"64-78"``.

    Raises:
        ValueError: the item is malformed, or the range descends or exceeds 0 to 255.
    """
    low, _, high = item.partition("-") if isinstance(item, str) else (item, "", "")
    first, last = int(low), int(high or low)
    if not 0 <= first <= last <= HIGHEST:
        raise ValueError(f"{item!r} is not a range within 0 to {HIGHEST}")
    return range(first, last + 1)


def outcome_named(code: int, exit_codes: Mapping[str, Codes]) -> str:
    """Return the outcome of an exit code from 0 to 255: ``success``, ``business_failure`` or ``technical_failure``.

    Codes missing from `exit_codes` keep their default outcome.
    """
    for outcome in OUTCOMES:
        if _is_named(code, exit_codes.get(outcome, ())):
            return outcome
    return WITHOUT_A_MAP.get(code, "technical_failure")


def is_final(code: int, exit_codes: Mapping[str, Codes]) -> bool:
    """Return whether a technical failure with this exit code must not be retried."""
    return _is_named(code, exit_codes.get(NO_RETRY, ()))


def _is_named(code: int, items: Codes) -> bool:
    return any(code in codes_of(item) for item in items)


def find_wrong_codes(exit_codes: Mapping[str, Codes]) -> Iterator[tuple[Path, int | str, Reason]]:
    """Yield the invalid items of correctly typed exit codes: the path, the item, and the allowed values.

    A range must ascend within 0 to 255, a code maps to one outcome, and only technical failures can be final.
    """
    taken: dict[int, str] = {}
    is_sound = True
    for name in (*OUTCOMES, NO_RETRY):
        for index, item in enumerate(exit_codes.get(name, ())):
            try:
                codes = codes_of(item)
            except ValueError:
                is_sound = False
                yield (name, index), item, Reason(Code.EXIT_CODES_ALLOWED, {"high": HIGHEST})
                continue
            if name == NO_RETRY:
                continue
            again = next((code for code in codes if code in taken), None)
            if again is not None:
                is_sound = False
                yield (
                    (name, index),
                    item,
                    Reason(Code.EXIT_CODES_ONCE, {"exit_code": again, "name": taken[again]}),
                )
            taken |= dict.fromkeys(codes, name)
    if is_sound:
        yield from _find_final_without_failure(exit_codes)


def _find_final_without_failure(exit_codes: Mapping[str, Codes]) -> Iterator[tuple[Path, int | str, Reason]]:
    for index, item in enumerate(exit_codes.get(NO_RETRY, ())):
        for code in codes_of(item):
            outcome = outcome_named(code, exit_codes)
            if outcome != "technical_failure":
                yield (
                    (NO_RETRY, index),
                    item,
                    Reason(Code.EXIT_CODES_OF_FAILURES, {"exit_code": code, "name": outcome}),
                )
                break


def with_outcome(code: int, outcome: str, exit_codes: Mapping[str, Codes]) -> dict[str, list[int | str]]:
    """Return `exit_codes` with `code` mapped to `outcome`, splitting a range if needed; other codes are unchanged."""
    found = {
        name: [part for item in items for part in (_without(code, item) if name in OUTCOMES else [item])]
        for name, items in exit_codes.items()
    }
    found.setdefault(outcome, []).append(code)
    return {name: items for name, items in found.items() if items}


def _without(code: int, item: int | str) -> list[int | str]:
    codes = codes_of(item)
    if code not in codes:
        return [item]
    parts = (range(codes.start, code), range(code + 1, codes.stop))
    return [part.start if len(part) == 1 else f"{part.start}-{part.stop - 1}" for part in parts if part]
