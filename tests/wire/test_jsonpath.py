"""Paths into JSON: what they find, set and take out; every other byte of a value stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampproxy.wire.jsonpath import MAX_INDEX, _like, found, parse_path, put, resolved, same, taken_out

BODY = json.dumps(
    {
        "a": {"b": [1, {"c": "x"}, None], "d.e": 5, "7": "seven"},
        "tools": [
            {"type": "function", "name": "read", "n": 1, "tags": ["p", "q"]},
            {"type": "web_search", "name": "find (all)", "n": 2},
            {"type": "web_search", "name": "look", "n": 3.5, "on": True},
        ],
    }
).encode()


def at(path: str, body: bytes = BODY) -> list[Any]:
    return [json.loads(value) for value in found(body, parse_path(path))]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("a.b.0", [1]),
        ("a.b.1.c", ["x"]),
        ("a.b.2", [None]),
        ("a.b.3", []),
        ("a.b.-1", []),
        ("a.d\\.e", [5]),
        ("a.7", ["seven"]),
        ("a.:7", ["seven"]),
        ("tools.:0", []),
        ("a.b.c", []),
        ("a.b.0.c", []),
        ("x.y", []),
        ('tools.#(type=="web_search").name', ["find (all)"]),
        ("tools.#(type=='web_search').name", ["find (all)"]),
        ('tools.#(type=="web_search")#.name', ["find (all)", "look"]),
        ("tools.#(type=web_search)#.n", [2, 3.5]),
        ('tools.#(name=="find (all)").n', [2]),
        ('tools.#(type!="web_search").n', [1]),
        ("tools.#(n>1)#.n", [2, 3.5]),
        ("tools.#(n>=2)#.n", [2, 3.5]),
        ("tools.#(n<=1).n", [1]),
        ("tools.#(n<1).n", []),
        ('tools.#(n>"1")#.n', []),
        ("tools.#(on==true).n", [3.5]),
        ("tools.#(on).n", [3.5]),
        ("tools.#(missing!=1).n", []),
        ('tools.#(name%"*o*")#.name', ["look"]),
        ('tools.#(name!%"*o?")#.name', ["read", "find (all)"]),
        ('tools.#(type=="web_search"&&n>2).name', ["look"]),
        ('tools.#(n==1||name=="look")#.n', [1, 3.5]),
        ('tools.#(tags.#(=="q")).name', ["read"]),
        ("a.#(c).x", []),
    ],
)
def test_found(path, values):
    """A path leads to the values that gjson would find by it."""
    assert at(path) == values


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("a.b", 9, '{"a": {"b": 9}}'),
        ("a.b.c.d", 9, '{"a": {"b": {"c": {"d": 9}}}}'),
        ("x.0", 9, '{"a": {"b": 1}, "x": [9]}'),
        ("x.2.y", 9, '{"a": {"b": 1}, "x": [null, null, {"y": 9}]}'),
        ("x.-1", 9, '{"a": {"b": 1}, "x": [9]}'),
        ("x.:0", 9, '{"a": {"b": 1}, "x": {"0": 9}}'),
        ("a\\.b", 9, '{"a": {"b": 1}, "a.b": 9}'),
        ("", None, None),
    ],
)
def test_put(path, value, changed):
    """A value is set, and what is missing on the way to it is made."""
    if changed is None:
        with pytest.raises(ValueError, match="is empty"):
            parse_path(path)
        return
    out = put(b'{"a": {"b": 1}}', parse_path(path), json.dumps(value).encode())
    assert json.loads(out) == json.loads(changed)


def test_put_into_lists():
    """Elements are set in place or added behind the last; a list has no members."""
    body = b'{"l": [1, {"a": 2}]}'
    assert json.loads(put(body, parse_path("l.1.a"), b"3")) == {"l": [1, {"a": 3}]}
    assert json.loads(put(body, parse_path("l.-1"), b"3")) == {"l": [1, {"a": 2}, 3]}
    assert put(body, parse_path("l.a"), b"3") == body
    places = resolved(body, parse_path("l.#(a==2)"))
    assert [json.loads(put(body, place, b"0")) for place in places] == [{"l": [1, 0]}]


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("a", {"tools": [1, 2, 3, 2]}),
        ("a.b", {"a": {}, "tools": [1, 2, 3, 2]}),
        ("tools.0", {"a": {"b": 1}, "tools": [2, 3, 2]}),
        ("tools.-1", {"a": {"b": 1}, "tools": [1, 2, 3]}),
        ("tools.#(==2)", {"a": {"b": 1}, "tools": [1, 3, 2]}),
        ("tools.#(==2)#", {"a": {"b": 1}, "tools": [1, 3]}),
        ("tools.#(>1)#", {"a": {"b": 1}, "tools": [1]}),
        ("a.c", {"a": {"b": 1}, "tools": [1, 2, 3, 2]}),
        ("a.b.c", {"a": {"b": 1}, "tools": [1, 2, 3, 2]}),
        ("tools.9", {"a": {"b": 1}, "tools": [1, 2, 3, 2]}),
    ],
)
def test_taken_out(path, changed):
    """All that a path leads to is taken out, several elements of one list too."""
    body = b'{"a": {"b": 1}, "tools": [1, 2, 3, 2]}'
    assert json.loads(taken_out(body, resolved(body, parse_path(path)))) == changed


@pytest.mark.parametrize(
    "path",
    [
        "",
        "  ",
        "a.*",
        "a.b?",
        "a|b",
        "a.@this",
        "a.#",
        "a.#(b",
        "a.#(b)x",
        "a.#()",
        "a.\\",
        f"a.{MAX_INDEX + 1}",
    ],
)
def test_what_is_no_path(path):
    """What is not known here is said, and not guessed at."""
    with pytest.raises(ValueError, match=r"is empty|uses|has a|has an|ends in|names place"):
        parse_path(path)


def test_other_values_keep_their_text():
    """Numbers of any length and form stay as they are written."""
    body = b'{"n":12345678901234567890,"f":1.10,"e":1e400,"o":{"x":1.0,"y":2}}'
    assert put(body, parse_path("o.y"), b"3") == body.replace(b'"y":2', b'"y":3')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab.", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=9,
)


@given(
    st.dictionaries(st.sampled_from("abc"), JSON),
    st.lists(st.sampled_from(["a", "b", "0", "1", "-1"]), min_size=1),
    JSON,
)
def test_what_is_put_is_found(body, steps, value):
    """What was set is found there, and taking it out again leaves nothing there; all else stays."""
    path, raw = parse_path(".".join(steps)), json.dumps(body).encode()
    out = put(raw, path, json.dumps(value).encode())
    if out == raw or "-1" in steps:
        json.loads(out)
        return
    assert [json.loads(one) for one in found(out, path)] == [value]
    assert {k: v for k, v in json.loads(out).items() if k != steps[0]} == {
        k: v for k, v in body.items() if k != steps[0]
    }


def test_same():
    """JSON knows one kind of number, and true is none."""
    assert same(1, 1.0)
    assert same({"a": [1]}, {"a": [1.0]})
    assert not same(1, True)
    assert not same("1", 1)
    assert not same([1], [1, 2])
    assert not same({"a": 1}, {"b": 1})


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*", "", True),
        ("a*", "abc", True),
        ("*c", "abc", True),
        ("a*a", "a", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*b*", "abc", True),
        ("**", "x", True),
        ("a.c*", "abc", False),
        ("x*c", "abc", False),
    ],
)
def test_like(pattern, text, fits):
    """A star stands for anything, a question mark for one character, all else for itself."""
    assert _like(pattern, text) is fits


def test_like_is_linear():
    """Many stars and a long text that does not fit: the pieces are not tried in every way."""
    assert not _like("*a" * 20 + "b", "a" * 200_000)
