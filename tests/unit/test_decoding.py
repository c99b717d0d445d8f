"""Output is read in the encoding of its task, and no byte is lost."""

from __future__ import annotations

import encodings.aliases
import random

from scheduler.runner.decoding import OutputDecoder, encoded, is_text_encoding
from tests.support.cases import each_case

CHINESE = "备份完成：共 12 个文件\n错误 €\U00020bb7\n"
JAPANESE = "バックアップ完了\nｶﾅ 12 件\n"


def read(data: bytes, encoding: str, *, step: int) -> tuple[str, bytes]:
    """Return the text of a stream that comes in pieces of `step` bytes, and the bytes that are given back."""
    decoder, position, texts, given_back = OutputDecoder(encoding), 0, "", b""
    end = 0
    while position < len(data):
        end = min(max(end, position) + step, len(data))
        found = decoder.decode(data[position:end], is_last=end == len(data))
        position += found.size
        texts += found.text
        given_back += found.raw if found.raw is not None else (encoded(found.text, encoding) or b"")
    return texts, given_back


@each_case("step", [1, 2, 3, 5, 7, 1000])
@each_case(
    ("encoding", "text"),
    [
        ("", CHINESE),
        ("utf-8", CHINESE),
        ("gb18030", CHINESE),
        ("GBK", "备份完成\n"),
        ("big5", "備份完成\n"),
        ("shift_jis", JAPANESE),
        ("euc_jp", JAPANESE),
        ("iso2022_jp", "バックアップ完了\n12\n"),
        ("euc_kr", "백업 완료\n"),
        ("latin-1", "Größe café\n"),
        ("cp1252", "“Größe” – 5 €\n"),
        ("koi8_r", "готово\n"),
        ("utf-16", CHINESE),
        ("utf-16-le", CHINESE),
        ("utf-8-sig", CHINESE),
    ],
)
def test_text_of_an_encoding_is_read_across_the_borders_of_pieces(
    encoding: str, text: str, step: int
) -> None:
    data = text.encode(encoding or "utf-8")

    assert read(data, encoding, step=step) == (text, data)


@each_case(
    ("encoding", "data", "text"),
    [
        ("", b"caf\xe9\n", "caf\ufffd\n"),
        ("", b"\xe4\xb8", "\ufffd"),
        ("", b"\xff\xfe\x80", "\ufffd" * 3),
        ("", b"a\0b", "a\u2400b"),
        ("", b"\xed\xa0\x80", "\ufffd" * 3),
        ("", "meant \ufffd".encode(), "meant \ufffd"),
        ("gb18030", b"\xff ok\n", "\ufffd ok\n"),
        ("shift_jis", b"\x80 ok", "\ufffd ok"),
        ("ascii", "ä".encode(), "\ufffd" * 2),
        ("utf-16", b"a\0b\0", "a\u2400b\u2400"),
    ],
)
def test_bytes_without_a_meaning_are_shown_and_given_back(encoding: str, data: bytes, text: str) -> None:
    for step in (1, 2, 1000):
        assert read(data, encoding, step=step) == (text, data)
    shown = OutputDecoder(encoding).decode(data, is_last=True).text
    assert not any("\ud800" <= character <= "\udfff" or character == "\0" for character in shown)


@each_case("encoding", ["", "gb18030", "shift_jis", "big5", "euc_jp", "cp1252", "utf-16-le"])
def test_any_bytes_are_given_back_whatever_the_encoding(encoding: str) -> None:
    chance = random.Random(12)
    for length in (1, 2, 3, 10, 999):
        for _ in range(50):
            data = chance.randbytes(length)
            assert read(data, encoding, step=chance.randint(1, 8))[1] == data


def test_text_that_gives_its_bytes_back_keeps_none_beside_it() -> None:
    assert OutputDecoder("gb18030").decode(CHINESE.encode("gb18030"), is_last=True).raw is None
    assert OutputDecoder().decode(CHINESE.encode(), is_last=True).raw is None
    assert OutputDecoder().decode(b"\xff", is_last=True).raw == b"\xff"


@each_case(
    ("encoding", "before", "again"),
    [
        ("", "ab界".encode()[:-1], 2),
        ("", b"abc", 0),
        ("gb18030", "行\n备".encode("gb18030") + b"\xb7", 3),
        ("gb18030", b"no line", 0),
    ],
)
def test_reading_begins_anew_where_a_character_begins(encoding: str, before: bytes, again: int) -> None:
    assert OutputDecoder(encoding).begin_within(before) == again


def test_encodings_of_text_are_known_and_others_are_not() -> None:
    known = {name for name in encodings.aliases.aliases.values() if is_text_encoding(name)}

    assert {"gb18030", "shift_jis", "big5", "euc_kr", "utf_8", "latin_1", "cp1252", "koi8_r"} <= known
    assert not known & {"zlib_codec", "rot_13", "hex_codec", "base64_codec", "bz2_codec", "uu_codec"}
    assert not any(
        map(is_text_encoding, ("", "gbk2", "idna", "punycode", "undefined", "unicode_escape", "utf-7", "a\0"))
    )
    chance = random.Random(3)
    for name in sorted(known - {"mbcs", "oem"}):
        data = chance.randbytes(300) + b"plain text\n"
        assert read(data, name, step=chance.randint(1, 20))[1] == data
