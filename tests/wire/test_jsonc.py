"""Settings files are changed in one member and nowhere else."""

from __future__ import annotations

import json
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampproxy.wire.jsonc import MAX_DEPTH, BadJsonc, is_bare, put, quoted, read, remove, require_plain, string

NAME = "amp.url"
VALUE = quoted("http://127.0.0.1:8317")

BLANKS = (" ", "  ", "\t", "\n", "\r\n", "\n  ", "\r\n\t", "\r")
COMMENTS = (
    "// note\n",
    "// a, {b: [\r\n",
    "/* one */",
    "/*\n two, }\n*/",
    "//\n",
    "/**/",
    '/* "amp.url":1 */',
)
#: Up to three of them: one choice is drawn much faster than a list of choices, and there are many in a file.
trivia = st.sampled_from(
    sorted(
        {"".join(some) for some in product(("", *BLANKS, *COMMENTS), repeat=3)},
        key=lambda one: (len(one), one),
    )
)
names = st.one_of(st.text(max_size=6), st.sampled_from(["editor.tabSize", "amp.key", "[rust]", "a"]))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
).map(lambda value: json.dumps(value, ensure_ascii=False))


@st.composite
def arrays(draw, items):
    parts = [f"{draw(trivia)}{draw(items)}{draw(trivia)}" for _ in range(draw(st.integers(0, 3)))]
    tail = "," + draw(trivia) if parts and draw(st.booleans()) else draw(trivia)
    return f"[{','.join(parts)}{tail}]"


@st.composite
def objects(draw, items, least=0):
    keys = draw(st.lists(names.filter(lambda name: name != NAME), min_size=least, max_size=4, unique=True))
    members = []
    for key in keys:
        text = json.dumps(key, ensure_ascii=draw(st.booleans()))
        members.append(f"{draw(trivia)}{text}{draw(trivia)}:{draw(trivia)}{draw(items)}{draw(trivia)}")
    tail = "," + draw(trivia) if members and draw(st.booleans()) else draw(trivia)
    return "{" + ",".join(members) + tail + "}"


values = st.recursive(scalars, lambda inner: st.one_of(arrays(inner), objects(inner)), max_leaves=8)


@st.composite
def files(draw, least=0):
    mark = "\ufeff" if draw(st.booleans()) else ""
    return f"{mark}{draw(trivia)}{draw(objects(values, least))}{draw(trivia)}".encode()


@given(files())
def test_added_members_leave_every_byte(data):
    """What is added is added: taking it out of the bytes gives the old ones, in their order."""
    changed = put(data, NAME, VALUE)
    assert read(changed) == {**read(data), NAME: VALUE}
    left = iter(changed)
    assert all(byte in left for byte in data)
    assert put(changed, NAME, VALUE) == changed


@given(files(least=1))
def test_taking_back(data):
    """What was added to an object with members is taken back without a trace."""
    assert remove(put(data, NAME, VALUE), NAME) == data


@given(files(), st.sampled_from(["1", "null", '"x"', '{"a": [1, 2,],}', "[ /* , */ ]"]).map(str.encode))
def test_replaced_values_leave_every_other_byte(data, other):
    """A member that is there gets its new value in its place."""
    before = put(data, NAME, other)
    after = put(before, NAME, VALUE)
    at = before.index(quoted(NAME) + b": ") + len(quoted(NAME)) + 2
    assert after == before[:at] + VALUE + before[at + len(other) :]
    assert put(after, NAME, other) == before


@given(files(least=1), st.data())
def test_removal_leaves_comments_and_neighbours(data, draw):
    """Any member can be taken out; the others keep their text, and every comment outside it stays."""
    name = draw.draw(st.sampled_from(sorted(read(data))))
    after = remove(data, name)
    assert read(after) == {key: value for key, value in read(data).items() if key != name}
    assert remove(after, name) == after


@given(files())
def test_accepts_what_json_accepts(data):
    """Without comments and trailing commas it is JSON, with the same members."""
    members = read(data)
    assert {name: json.loads(_strict(value)) for name, value in members.items()} == json.loads(_strict(data))


@given(st.one_of(st.binary(max_size=60), st.text('{}[]":,/*\\ \n-1.eu0tnl', max_size=40).map(str.encode)))
def test_anything_else_is_refused(data):
    """Whatever the bytes are, they are read or refused; what is read, JSON reads too."""
    try:
        members = read(data)
    except BadJsonc:
        with pytest.raises(BadJsonc):
            put(data, NAME, VALUE)
        return
    text = _strict(data).strip()
    assert (json.loads(text) if text else {}).keys() == members.keys()
    assert read(put(data, "\0new", VALUE))["\0new"] == VALUE


def _strict(data: bytes) -> str:
    """The text without its comments and trailing commas; strings are stepped over."""
    text = data.decode().removeprefix("\ufeff")
    pattern = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\r\n]*|/\*.*?\*/', re.DOTALL)
    text = pattern.sub(lambda match: match.group(1) or " ", text)
    commas = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')
    return commas.sub(lambda match: match.group(1) or "", text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{\n  "amp.url": "u"\n}'),
        ("{\n}\n", '{\n  "amp.url": "u"\n}\n'),
        ("", '{\n  "amp.url": "u"\n}\n'),
        ("\n// mine\n", '\n// mine\n{\n  "amp.url": "u"\n}\n'),
        ("// mine", '// mine\n{\n  "amp.url": "u"\n}\n'),
        ('{"a": 1}', '{"a": 1, "amp.url": "u"}'),
        ('{"a": 1,}', '{"a": 1, "amp.url": "u",}'),
        ('{\n    "a": 1 // one\n}', '{\n    "a": 1, // one\n    "amp.url": "u"\n}'),
        ('{\r\n\t"a": 1, // one\r\n}', '{\r\n\t"a": 1, // one\r\n\t"amp.url": "u",\r\n}'),
        ("  {\n\t}", '  {\n\t\t"amp.url": "u"\n\t}'),
        ('{\n  "a": [\n    1 ] }', '{\n  "a": [\n    1 ], "amp.url": "u" }'),
    ],
)
def test_where_it_goes(before, after):
    """A new member follows the manner of the file."""
    assert put(before.encode(), NAME, quoted("u")).decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{\n  "amp.url": 1\n}', "{\n}"),
        ('{"amp.url": 1}', "{}"),
        ('{"amp.url": 1, "b": 2}', '{ "b": 2}'),
        ('{"b": 2, "amp.url": 1}', '{"b": 2}'),
        ('{\n  "amp.url": 1, // why\n  "b": 2\n}', '{\n   // why\n  "b": 2\n}'),
        ('{\n  "b": 2, // two\n  "amp.url": 1\n}', '{\n  "b": 2 // two\n}'),
        ('{"b": 2}', '{"b": 2}'),
        ("", ""),
    ],
)
def test_how_it_goes(before, after):
    """A member goes with its line, if nothing else is on that, and with the comma that it needed."""
    assert remove(before.encode(), NAME).decode() == after


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "line 1: expected an object"),
        ('{\n"a": 1\n"b": 2}', "line 3: expected a comma or a closing brace"),
        ('{"a": 1}\n{', "line 2: expected nothing after"),
        ('{"a" 1}', "line 1: expected a colon"),
        ("{a: 1}", "line 1: expected a string"),
        ('{"a": 1,,}', "line 1: expected a string"),
        ('{"a": }', "line 1: expected a value"),
        ('{"a": 01}', "line 1: expected"),
        ('{"a": [1 2]}', "line 1: expected a comma or ]"),
        ('{"a": {"b": 1]}', "line 1: expected a comma or }"),
        ('{"a": "\n"}', "line 1: expected a string"),
        ('{"a": /* 1}', "line 1: expected a value"),
        ('{"a": 1', "line 1: expected a comma or a closing brace"),
        ("{" * 3, "line 1: expected a string"),
        ('{"a":' + "[" * (MAX_DEPTH + 1), "levels deep"),
    ],
)
def test_broken(text, why):
    """A file that its own program could not read is refused, with the line."""
    with pytest.raises(BadJsonc, match=re.escape(why)):
        put(text.encode(), NAME, VALUE)


def test_other_encodings():
    """UTF-16 and broken UTF-8 are refused."""
    for data in ("{}".encode("utf-16"), b'{"a": "\xff"}'):
        with pytest.raises(BadJsonc, match="UTF-8"):
            read(data)


def test_twice():
    """Of two members of one name nobody knows which was meant: neither is touched."""
    data = b'{"amp.url": 1,\n"amp\\u002eurl": 2}'
    assert read(data) == {NAME: b"2"}
    for change in (lambda: put(data, NAME, VALUE), lambda: remove(data, NAME)):
        with pytest.raises(BadJsonc, match="is defined twice, in lines 1 and 2"):
            change()


def test_strings():
    """A value's text, where it is one."""
    assert string(b'"a\\u0041"') == "aA"
    assert string(b"1") is None
    assert string(None) is None


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf{}", b"{} // c", b'{"a": 1,}', b"", b'{"a": "\xff"}'])
def test_plain(data):
    """What is more than JSON is told from JSON."""
    require_plain(b'{"a": [1]}')
    with pytest.raises(BadJsonc):
        require_plain(data)


def test_bare():
    """A file that says nothing is told from one that says something."""
    assert [is_bare(data) for data in (b"", b"{}", b"\xef\xbb\xbf{\r\n\t}\n")] == [True] * 3
    assert not is_bare(b"{} // mine")
    assert not is_bare(b'{"a": 1}')
