"""What a reader of a log sees of what a command wrote; `tests/acceptance/test_log_text_browser.py` asks the page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.log_text import shown_text
from tests.effort import calls_of
from tests.support.cases import each_case
from tests.unit.corpora.logs import SHOWN


@each_case(("text", "expected"), SHOWN)
def test_a_line_that_is_written_over_is_read_as_on_a_terminal(text: str, expected: str) -> None:
    assert shown_text(text) == expected


@each_case(
    ("text", "expected"),
    [
        ("\x1b[32m 50%\x1b[0m\r\x1b[K\x1b[32m100%\x1b[0m\n", "\x1b[32m\x1b[0m\x1b[32m100%\x1b[0m\n"),
        ("\x1b[31ma\rb", "\x1b[31mb"),
        ("a\r\x1b[0m\nb", "a\x1b[0m\nb"),
        ("\x1b[2Ja\x1b[1mb", "a\x1b[1mb"),
    ],
)
def test_colours_stay_for_who_paints_them(text: str, expected: str) -> None:
    assert shown_text(text, keeps_colours=True) == expected


@given(st.text(alphabet=st.sampled_from("ab\r\n\x1b[]0;1mK\x07\\ "), max_size=60))
def test_whatever_comes_leaves_no_sequence_and_no_return(text: str) -> None:
    shown = shown_text(text)

    assert "\r" not in shown and "\x1b" not in shown
    assert shown_text(shown) == shown
    assert len(shown) <= len(text)


def test_a_megabyte_of_a_progress_bar_is_one_line_in_little_work() -> None:
    text = "".join(f"\r\x1b[32m{number:6d}\x1b[0m" for number in range(60_000))

    shown, calls = calls_of(lambda: shown_text(text))

    assert shown == " 59999"
    assert calls < 300_000
