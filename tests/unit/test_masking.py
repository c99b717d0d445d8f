"""Secrets in a stream: found in every form, at every place, however the stream arrives."""

from __future__ import annotations

import base64
import html
import json
import random
import shlex
from itertools import pairwise
from typing import Any
from urllib.parse import quote, quote_plus

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.runner.masking import MASK, SHORTEST, Secrets
from tests.support.cases import each_case

PASSWORD = "p@ss w/ord'\"$é"
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"


def read(secrets: Secrets, pieces: list[bytes]) -> tuple[list[tuple[int, int]], bytes]:
    """Read a stream as it arrives; return offset and size of each part that was let out, and all of them masked."""
    stream, offset, arrived = b"".join(pieces), 0, 0
    parts, shown = [], b""
    for number, piece in enumerate(pieces):
        arrived += len(piece)
        data = stream[offset:arrived]
        before = stream[max(offset - secrets.longest, 0) : offset]
        covered = secrets.cover(data, before=before, is_last=number == len(pieces) - 1)
        shown += secrets.without(data, covered)
        parts.append((offset, covered.length))
        offset += covered.length
    return parts, shown


def aligned(value: str) -> list[str]:
    return [base64.b64encode(b"x" * before + value.encode() + b"yz").decode() for before in range(3)]


FORMS = {
    "plain": PASSWORD,
    "percent-encoded": quote(PASSWORD, safe=""),
    "percent-encoded with slashes": quote(PASSWORD),
    "percent-encoded in small letters": quote(PASSWORD, safe="")
    .replace("%2F", "%2f")
    .replace("%C3%A9", "%c3%a9"),
    "a form": quote_plus(PASSWORD),
    "JavaScript": quote(PASSWORD, safe="!'()*"),
    "JSON": json.dumps(PASSWORD)[1:-1],
    "JSON in UTF-8": json.dumps(PASSWORD, ensure_ascii=False)[1:-1],
    "JSON of PHP": json.dumps(PASSWORD)[1:-1].replace("/", "\\/"),
    "Python": repr(PASSWORD)[1:-1],
    "HTML": html.escape(PASSWORD),
    "shell": shlex.quote(PASSWORD)[1:-1],
    "bash -x": PASSWORD.replace("'", "'\\''"),
    "double quotes": PASSWORD.replace('"', '\\"').replace("$", "\\$"),
    "hexadecimal": PASSWORD.encode().hex(),
    "URL": f"https://bob:{quote(PASSWORD, safe='')}@example.org/",
}


@each_case("form", FORMS)
def test_a_secret_is_masked_in_every_form_in_which_programs_print_it(form: str) -> None:
    printed = f"before {FORMS[form]} after\n"

    masked = Secrets([PASSWORD]).masked(printed)

    prefix, suffix = (
        ("before https://bob:", "@example.org/ after\n") if form == "URL" else ("before ", " after\n")
    )
    assert masked == f"{prefix}{MASK}{suffix}"


@each_case("encode", [base64.b64encode, base64.urlsafe_b64encode])
@each_case("before", range(3))
@each_case("value", ["hunter2-horse", "ab?>~\xff\xfe\xfdxyz", "secret"])
def test_base64_is_masked_wherever_the_secret_begins_in_what_was_encoded(
    value: str, before: int, encode: Any
) -> None:
    printed = encode(b"u" * before + value.encode() + b"!!").decode()

    masked = Secrets([value]).masked(printed)

    assert MASK in masked
    left = masked.replace(MASK, "")
    assert len(left) <= 9  # what depends on what stands beside the secret
    assert len(printed) - len(left) >= len(value) * 8 // 6 - 2


def test_each_line_of_a_secret_with_several_is_masked_and_so_is_the_whole_in_one_line() -> None:
    secrets = Secrets([PEM])

    assert secrets.masked(PEM) == f"{MASK}\n{MASK}\n{MASK}\n{MASK}\n"
    assert secrets.masked("A: MIIEvQIBADANBgkq") == f"A: {MASK}"
    assert secrets.masked(json.dumps({"key": PEM})) == f'{{"key": "{MASK}"}}'
    assert secrets.masked(quote(PEM)) == MASK
    left = secrets.masked(base64.b64encode(PEM.encode()).decode()).replace(MASK, "")
    assert len(left) <= 4


def test_what_is_shorter_than_six_characters_is_no_secret() -> None:
    assert not Secrets(["12345", "", "     1     "])
    assert Secrets(["abcde"]).masked("abcde %61%62%63%64%65") == "abcde %61%62%63%64%65"
    assert Secrets(["123456"]).masked("1234567") == f"{MASK}7"
    assert len(MASK) <= SHORTEST


def test_secrets_that_overlap_leave_nothing_of_either() -> None:
    secrets = Secrets(["abcdefgh", "efghijkl", "abcdef"])

    assert secrets.masked("x abcdefghijkl y") == f"x {MASK} y"
    assert read(secrets, [b"x abcdefgh", b"ijkl y"])[1].decode() == f"x {MASK} y"
    assert read(secrets, [b"x abcdef", b"ghij", b"kl y"])[1].decode() == f"x {MASK} y"


@each_case("encoding", ["gb18030", "shift_jis", "utf-16", "utf-16-be", "utf_32_le", "latin-1"])
def test_secrets_are_found_in_the_encoding_of_the_task(encoding: str) -> None:
    value = (
        "geheim-äöü"
        if encoding == "latin-1"
        else "パスワード-123"
        if encoding == "shift_jis"
        else "密码-一二三四"
    )
    data = f"a {value} b".encode(encoding)
    secrets = Secrets([value], encoding=encoding)

    covered = secrets.cover(data, is_last=True)

    assert secrets.without(data, covered).decode(encoding) == f"a {MASK} b"


def test_a_line_that_is_complete_never_waits() -> None:
    secrets = Secrets([PASSWORD, PEM, "\n  indented secret\n", "line one\nline two"])
    lines = [b"starting\n", b"-----BEGIN KEY-----\n", b"p@ss w\n", b"  indented\n", b"line one\n"]

    for line in lines:
        assert secrets.cover(line).length == len(line)


def test_only_what_may_begin_a_secret_waits_for_what_comes() -> None:
    secrets = Secrets(["hunter2-horse"])

    assert secrets.cover(b"Password: hunt").length == len(b"Password: ")
    assert secrets.cover(b"50 %").length == len(b"50 %")
    parts, shown = read(secrets, [b"Password: hunt", b"ing\n"])
    assert shown == b"Password: hunting\n"
    assert parts == [(0, 10), (10, 8)]


def test_what_is_cut_off_at_an_edge_is_masked_though_it_is_not_whole() -> None:
    secrets = Secrets(["hunter2-horse"])

    cut = b"a hunter2-hor"
    assert secrets.cover(cut, is_last=True).spans == [(2, len(cut))]
    assert secrets.cover(b"2-horse b", is_torn=True).spans == [(0, 7)]
    assert secrets.cover(b"a hun", is_last=True).spans == []


def test_a_long_secret_is_masked_once_and_little_of_it_is_held_back() -> None:
    value = "".join(random.Random(1).choices("abcdefghij0123456789", k=5000))
    secrets = Secrets([value])

    assert secrets.longest < 300
    assert secrets.masked(f"a {value} b") == f"a {MASK} b"
    assert secrets.masked(base64.b64encode(value.encode()).decode()).startswith(MASK)


def test_a_stream_without_secrets_costs_nothing() -> None:
    secrets = Secrets([])

    assert not secrets
    assert secrets.cover(b"anything").length == 8
    assert secrets.longest == 0


values = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=8, max_size=40
).filter(lambda text: len(text.strip()) >= 8)
plain = st.text(st.sampled_from("abc xyz\n.,0"), max_size=60)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[str], list[bytes], bytes]:
    """Return secrets, a stream with them in forms of theirs in the pieces in which it arrives, and what is masked."""
    secrets = draw(st.lists(values, min_size=1, max_size=3))
    stream = b""
    for _ in range(draw(st.integers(1, 6))):
        secret = draw(st.sampled_from(secrets))
        ways = [
            secret,
            quote(secret, safe=""),
            json.dumps(secret),
            shlex.quote(secret),
            *aligned(secret),
            base64.urlsafe_b64encode(secret.encode()).decode(),
        ]
        stream += (draw(plain) + draw(st.sampled_from(ways)) + draw(plain)).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    return secrets, [stream[a:b] for a, b in pairwise(edges)], stream


@settings(max_examples=150)
@given(streams())
def test_however_a_stream_arrives_no_secret_is_let_out_and_all_else_is_unchanged(
    given_stream: tuple[list[str], list[bytes], bytes],
) -> None:
    texts, pieces, stream = given_stream
    secrets = Secrets(texts)

    parts, shown = read(secrets, pieces)

    whole = secrets.cover(stream, is_last=True)
    once = secrets.without(stream, whole)
    assert shown == once  # whatever the pieces are
    left = shown.split(MASK.encode())
    for text in texts:
        for form in (text, text.strip(), quote(text, safe=""), json.dumps(text)[1:-1]):
            assert not any(form.encode() in part for part in left)
    # All else is there, in its order, and the parts tile the true stream.
    clear = [stream[a:b] for a, b in _gaps(whole.spans, len(stream))]
    assert b"".join(clear) == b"".join(left)
    assert [offset for offset, _ in parts] == [sum(size for _, size in parts[:n]) for n in range(len(parts))]
    assert sum(size for _, size in parts) == len(stream)


def _gaps(spans: list[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    edges = [0, *(edge for span in spans for edge in span), length]
    return list(zip(edges[::2], edges[1::2], strict=True))


@settings(max_examples=100)
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=8))
def test_a_stream_without_the_secret_is_unchanged(stream: bytes, cuts: list[int]) -> None:
    secrets = Secrets(["correct-horse-battery-staple"])
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]

    _parts, shown = read(secrets, [stream[a:b] for a, b in pairwise(edges)])

    assert shown == stream
