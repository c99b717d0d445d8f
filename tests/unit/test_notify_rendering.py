"""Templates: one flat substitution, whatever template and values contain."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifications.messages.templates import (
    CUT,
    LIMIT,
    SUBJECT_LIMIT,
    VALUE_LIMIT,
    render,
    render_form,
    render_html,
    render_json,
    render_markup,
    render_subject,
)
from scheduler.config_file import ConfigError, validate_task
from scheduler.config_file.notify_rules import TEMPLATE_NAMES
from tests.support.cases import each_case
from tests.unit.corpora import headers, templates

VALUES = {"task_id": "backup", "task_name": "{{task_id}}", "exit_code": 0, "reason": None}


class _Reader(HTMLParser):
    """What a browser would see: elements, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader


def test_corpus_is_as_large_as_promised() -> None:
    count = len(templates.INERT) + len(templates.UNKNOWN) + len(templates.EXPANDED) + len(templates.VALUES)

    assert count >= 200
    assert len(headers.TEXTS) >= 100


@each_case("template", templates.INERT)
def test_template_of_another_engine_is_text(template: str) -> None:
    assert render(template, VALUES) == template
    assert read(render_html(template, VALUES)).text == template


@each_case("template", templates.UNKNOWN)
@each_case("function", [render, render_subject, render_html, render_json, render_form, render_markup])
def test_name_that_is_not_known_is_refused(template: str, function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match=r"^unknown name .* in a template; allowed: task_id, task_name, "):
        function(template, VALUES)


@each_case(("template", "expected"), templates.EXPANDED)
def test_names_are_replaced_once(template: str, expected: str) -> None:
    assert render(template, VALUES) == expected
    assert read(render_html(template, VALUES)).text == expected


@each_case("value", templates.VALUES)
def test_value_is_text_wherever_it_stands(value: str) -> None:
    values = {**VALUES, "reason": value, "execution_log_tail": value, "execution_url": value}

    html = read(render_html("<{{reason}}|{{execution_log_tail}}|{{execution_url}}>", values))

    assert render("<{{reason}}>", values) == f"<{value}>"
    assert html.text == f"<{value}|{value}|{value}>"
    assert [tag for tag, _attributes in html.elements] == ["pre"]
    assert json.loads(render_json('{"a": "{{reason}}", "b": {{reason}}}', values)) == {"a": value, "b": value}
    assert read(render_markup("<p>{{reason}}</p>", values)).text == value


def test_log_is_a_block_and_the_address_of_the_execution_a_link() -> None:
    values = {"execution_log_tail": "a\n<b>", "execution_url": 'https://x.example/1?a=1&b="'}

    html = read(render_html("{{execution_log_tail}}\n{{execution_url}}", values))

    assert [tag for tag, _attributes in html.elements] == ["pre", "br", "a"]
    assert html.elements[2][1] == {"href": 'https://x.example/1?a=1&b="'}


@each_case("text", headers.TEXTS)
def test_subject_is_one_line(text: str) -> None:
    for subject in (render_subject("{{task_name}} failed", {"task_name": text}), render_subject(text, {})):
        assert len(subject.splitlines()) == 1
        assert subject.isprintable()
        assert len(subject) <= SUBJECT_LIMIT


def test_subject_keeps_words_of_all_languages() -> None:
    assert (
        render_subject("{{task_name}}", {"task_name": "夜间备份 🌙 résumé\u200d"})
        == "夜间备份 🌙 résumé\u200d"
    )


def test_long_subject_is_cut_with_a_mark() -> None:
    subject = render_subject("{{task_name}}", {"task_name": "x" * 1000})

    assert len(subject) == SUBJECT_LIMIT
    assert subject.endswith(CUT)


def test_long_text_is_cut_with_a_mark() -> None:
    text = render("{{execution_log_tail}}" * 1000, {"execution_log_tail": "x" * 100_000})

    assert len(text) == LIMIT
    assert text.endswith(CUT)
    assert read(
        render_html("{{execution_log_tail}}" * 1000, {"execution_log_tail": "<" * 100_000})
    ).text.endswith(CUT)


def test_long_value_in_json_is_cut_and_the_document_stays_whole() -> None:
    document = json.loads(
        render_json('{"log": "{{execution_log_tail}}"}', {"execution_log_tail": '"' * 100_000})
    )

    assert len(document["log"]) == VALUE_LIMIT
    assert document["log"].endswith(CUT)


def test_json_that_grows_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the body is longer than 1048576 characters$"):
        render_json('["' + "{{execution_log_tail}}" * 2000 + '"]', {"execution_log_tail": "x" * 100_000})


@each_case("template", ['{"a": ', "{{task_id}} {{task_id}}", '{"a": "\n"}', "[" * 100_000, ""])
def test_body_that_is_no_json_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"^the body template is not a JSON document: "):
        render_json(template, VALUES)


@each_case(
    ("value", "expected"),
    [
        ("a\r\nb\rc\x85d\u2028e\u2029f\vg\fh", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07x\x1b]8;;http://x\x1b\\link", "red xlink"),
        ("\x1b]0;never ended\nnext line", "0;never ended\nnext line"),
        ("a\x00b\x07c\x08d\x7fe\x9bf", "abcdef"),
        ("tab\tstays", "tab\tstays"),
        ("\u202eexe.txt\u2066", "exe.txt"),
        ("\ud800lone\udfff", "lone"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_control_characters_are_dealt_with(value: str, expected: str) -> None:
    assert render("{{reason}}", {"reason": value}) == expected
    assert json.loads(render_json('"{{reason}}"', {"reason": value})) == expected


@given(
    st.text(alphabet=st.characters(), max_size=60),
    st.dictionaries(
        st.sampled_from(TEMPLATE_NAMES),
        st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=50)),
    ),
)
def test_any_text_renders_or_is_refused_as_unknown(template: str, values: dict[str, object]) -> None:
    for function in (render, render_subject, render_html):
        try:
            text = function(template, values)
        except ValueError as error:
            assert str(error).startswith("unknown name")
        else:
            text.encode()


@given(st.text(alphabet=st.sampled_from('{}"\\,: \n'), max_size=30), st.text(max_size=30))
def test_no_value_breaks_a_json_template_that_is_whole_without_it(around: str, value: str) -> None:
    before = json.dumps({"k": around}).replace("{{", "{ {").replace("}}", "} }")
    template = f'[{before}, "{{{{reason}}}}", {{{{reason}}}}]'

    document = json.loads(render_json(template, {"reason": value}))

    assert document[1] == document[2] == render("{{reason}}", {"reason": value})


# --- JSON documents with names inside ---------------------------------------------------------------

NAMED = {"task_name": 'Nightly "backup" }} {{reason}}', "exit_code": 7, "reason": None}
TEXTS = st.text(alphabet=st.sampled_from('ab{}"\\:,[ \n夜'), max_size=8).filter(lambda text: "{{" not in text)
#: A name as a whole value, or a text that may have names inside; a name in the template is a key of `NAMED`.
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    TEXTS,
    st.tuples(TEXTS, st.sampled_from(sorted(NAMED)), TEXTS),
    st.sampled_from(sorted(NAMED)).map(lambda name: (name,)),
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def template_of(document: Any) -> str:
    """Return the compact JSON of a document whose tuples are names: alone, or between two texts."""
    if isinstance(document, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{template_of(v)}" for k, v in document.items()) + "}"
    if isinstance(document, list):
        return "[" + ",".join(map(template_of, document)) + "]"
    if isinstance(document, tuple):
        name = "{{" + document[len(document) // 2] + "}}"
        return (
            name
            if len(document) == 1
            else f"{json.dumps(document[0])[:-1]}{name}{json.dumps(document[2])[1:]}"
        )
    return json.dumps(document, ensure_ascii=False)


def filled(document: Any) -> Any:
    """Return a document with the values of its names."""
    if isinstance(document, dict):
        return {key: filled(value) for key, value in document.items()}
    if isinstance(document, list):
        return [filled(value) for value in document]
    if isinstance(document, tuple):
        value = NAMED[document[len(document) // 2]]
        return value if len(document) == 1 else f"{document[0]}{'' if value is None else value}{document[2]}"
    return document


def webhook_with(template: str) -> dict[str, Any]:
    channel = {"type": "webhook", "url": "https://hooks.example.org/a", "body_template": template}
    return {"task_notify": [{"triggers": ["timeout"], "channels": [channel]}]}


@given(DOCUMENTS)
@example({"msgtype": "text", "text": {"content": ("", "task_name", "")}})
@example({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": ("*", "task_name", "*")}}]})
@example({"a": {"b": {"c": ("exit_code",)}}})
@example({"a": {"b": ("{", "reason", "}")}})
def test_any_json_document_with_names_inside_is_accepted_and_keeps_its_other_text(document: Any) -> None:
    template = template_of(document)

    spec = validate_task(webhook_with(template), partial=True)

    assert spec["task_notify"][0]["channels"][0]["body_template"] == template
    assert json.loads(render_json(template, NAMED)) == filled(document)


@each_case("template", ["a }} b", "}}", "{{task_name}} }}}} {", "@media x{a{b:c}}", '{"a":{}}'])
def test_closing_braces_that_close_nothing_are_text(template: str) -> None:
    validate_task(webhook_with(template), partial=True)

    assert render(template, {"task_name": "x"}) == template.replace("{{task_name}}", "x")


@each_case("template", ["{{", "{{task_name", "{{task_name}", "{{ {{task_name}}", "}}{{", "{{{task_id"])
def test_opening_braces_without_a_known_name_are_refused_with_the_list(template: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate_task(webhook_with(template), partial=True)

    [problem] = caught.value.problems
    assert re.search(
        r"must have a placeholder name and }} after each {{, but \"{{.*\" was found; ", problem.message
    )
    assert problem.message.endswith("allowed: " + ", ".join(TEMPLATE_NAMES))
