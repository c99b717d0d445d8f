"""Output of programs that draw on a terminal, and what a reader of the log sees of it."""

from __future__ import annotations

SHOWN = [
    ("plain\ntext\n", "plain\ntext\n"),
    ("10%\r20%\r30%\ndone\n", "30%\ndone\n"),
    ("10%\r20%\r", "20%"),
    ("windows\r\nlines\r\n", "windows\nlines\n"),
    ("a\r\r\nb\r\r\nc", "a\nb\nc"),
    ("\rfirst\rsecond", "second"),
    ("long line\rx", "x"),
    ("\x1b[32m 50%\x1b[0m\r\x1b[K\x1b[32m100%\x1b[0m\n", "100%\n"),
    ("100%\r\x1b[K\nnext", "100%\nnext"),
    ("one\r\x1b[0m\r\ntwo", "one\ntwo"),
    ("ab\bc", "abc"),
    ("a\x00b\x07c\x7fd\te", "abcd\te"),
    ("\x1b]0;title\x07text \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "text link"),
    ("\x1b(Btext\x1b=\x1b7", "text"),
    ("cut \x1b[3", "cut "),
    ("cut \x1b]0;tit", "cut "),
    ("cut \x1b", "cut "),
    ("\x1b[1;31mred\x1b[0m \x1b[38;5;196mmore\x1b[39m", "red more"),
    ("bar ████░░\rbar ██████\n夜间\r完成\n", "bar ██████\n完成\n"),
    ("form\x0cfeed\x0bx", "formfeedx"),
    ("", ""),
    ("\r", ""),
    ("\r\n", "\n"),
    ("\n\n\r\n", "\n\n\n"),
]
