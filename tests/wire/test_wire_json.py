"""Members of JSON bodies, found and swapped."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampproxy.wire.json import Peek, natural, peek, remove_members, replace_members, replace_model


def test_peek_finds_what_routing_needs() -> None:
    """The model and the stream flag are found wherever they stand at the top level."""
    assert peek(b'{"x":[{"model":"no"}],"stream":true,"model":"m\\u00e9"}') == Peek("m\u00e9", True)
    assert peek(b'{"model":5,"stream":"yes"}') == Peek(None, False)
    assert peek(b"{}") == Peek(None, False)
    assert peek(b'{"model":null,"stream":null}') == Peek(None, False)


def test_natural_numbers() -> None:
    """Numbers from zero on, as large as any that is counted."""
    assert [natural(raw) for raw in (b"0", b"17", b"9" * 18)] == [0, 17, 10**18 - 1]
    odd = (b"-1", b"1.0", b'"1"', b"null", b"", "²".encode(), b"9" * 19, b"9" * 5000)
    assert {natural(raw) for raw in odd} == {None}


@pytest.mark.parametrize("body", [b"", b'{"model":', b'{"a":1}x', b"[1]", b'"text"', b"null", b"{'a':1}"])
def test_peek_names_broken_json(body: bytes) -> None:
    """A body that is no JSON object is refused with a sentence, not with a guess."""
    with pytest.raises(ValueError, match=r"body is"):
        peek(body)


def test_peek_tells_the_position() -> None:
    """The message of broken JSON says at which byte it breaks."""
    with pytest.raises(ValueError, match="byte 10"):
        peek(b'{"model": oops}')


EXACT = [
    (
        b'{ "model" : "a",\n "n": 12345678901234567890 , "e":1.0E400}',
        b'{ "model" : "b",\n "n": 12345678901234567890 , "e":1.0E400}',
    ),
    (
        b'{"messages":[{"model":"a"}], "model": "a" , "t":"x"}',
        b'{"messages":[{"model":"a"}], "model": "b" , "t":"x"}',
    ),
    (b'{"text":"\\"model\\":\\"a\\"","model":"a"}', b'{"text":"\\"model\\":\\"a\\"","model":"b"}'),
    (b'{"x":{"model":"a"}}', b'{"x":{"model":"a"}}'),
    (b"{}", b"{}"),
    (b'{"model":null}', b'{"model":"b"}'),
    (b'{"model":{"x":1}}', b'{"model":"b"}'),
]


@pytest.mark.parametrize(("body", "expected"), EXACT)
def test_replace_model_changes_one_value(body: bytes, expected: bytes) -> None:
    """The vendor gets the client's body byte for byte, but for the model."""
    assert replace_model(body, "b") == expected


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","x":1,"model":"a"}',
        b'{"model":"b","x":1,"model":"a"}',
        b'{"mod\\u0065l":"a","x":{"model":"a"}}',
        b'{"x":{"model":"a"},"mod\\u0065l":"a"}',
    ],
)
def test_no_way_around_the_mapping(body: bytes) -> None:
    """A second or disguised ``model`` member does not smuggle another model past the mapping."""
    new = replace_model(body, "b")
    pairs = json.loads(new, object_pairs_hook=list)
    assert [value for name, value in pairs if name == "model"] == ["b"] or json.loads(new)["model"] == "b"
    assert b'"a"' not in new.replace(b'"x":{"model":"a"}', b"") or json.loads(new)["model"] == "b"


def test_replace_model_far_from_both_ends() -> None:
    """The member is found in the middle of a large body too; all values keep their text."""
    padding = b'[{"t":"' + b"x" * 20_000 + b'"}]'
    body = b'{"a":' + padding + b',"model":"a","n":1e400,"b":' + padding + b"}"
    assert replace_model(body, "b") == body.replace(b'"model":"a"', b'"model":"b"')


def test_same_model_is_the_same_body() -> None:
    """Nothing is copied when the name does not change."""
    body = b'{"model":"a"}'
    assert replace_model(body, "a") is body


@pytest.mark.parametrize("body", [b"[]", b'{"a":', b"", b'{"model":"a","t":{"model":"c"'])
def test_replace_model_refuses_broken_bodies(body: bytes) -> None:
    """What cannot be rewritten without being read is read."""
    with pytest.raises(ValueError, match="JSON object"):
        replace_model(body, "b")


def test_replace_members() -> None:
    """Existing members change in place, new ones come at the end."""
    raw = b'{ "a" : 1.50, "b" : {"a": 1}, "c":"x" }'
    assert replace_members(raw, {"a": b"2"}) == b'{ "a" : 2, "b" : {"a": 1}, "c":"x" }'
    assert replace_members(raw, {"d": b"[]"}) == b'{ "a" : 1.50, "b" : {"a": 1}, "c":"x","d":[]}'
    assert replace_members(b"{ }", {"d": b"1"}) == b'{"d":1}'
    assert replace_members(raw, {}) == raw
    with pytest.raises(ValueError, match="object"):
        replace_members(b"[1]", {"a": b"1"})


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":{"model":"x"},"mod\\u0065l":"x"}',
        b'{"a":{"model":"x"},"model":"x"}',
        b'{"a":"\\"model\\": \\"x\\"","model":"x"}',
        b'{"a\\\\":"model","model" : "x"}',
        b'{"say \\"model":"x","model":"x"}',
    ],
)
def test_the_member_of_the_object_itself(text: bytes) -> None:
    """Not one of the same name within another, nor the same words in a text, however its name is written."""
    before = json.loads(text)
    assert json.loads(replace_members(text, {"model": b'"y"'})) == {**before, "model": "y"}


def test_remove_members() -> None:
    """What is left keeps its exact text."""
    assert remove_members(b'{"a":1.0,"b":2}', frozenset("b")) == b'{"a":1.0}'
    assert remove_members(b'{"a": 1}', frozenset("b")) == b'{"a": 1}'


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.just("model")
    | st.just('"model":"a"'),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.just("model"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["model", "b", "c d"]), _values), _values, st.booleans())
def test_replacing_means_replacing(value: dict, new: object, ascii_only: bool) -> None:
    """Whatever the object, exactly the named member changes."""
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert json.loads(replace_members(raw, {"model": json.dumps(new).encode()})) == {**value, "model": new}
    expected = {**value, "model": "n"} if "model" in value else value
    assert json.loads(replace_model(raw, "n")) == expected
