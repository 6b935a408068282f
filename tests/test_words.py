"""The words of the code, its log, its commands and its errors are those of the field."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

import pytest

from tests.tree import ROOT, nodes_of, places

#: Words that are not used -> what to write. ``docs/extending.md`` shows the same table.
WORDS: dict[str, str] = {
    "told": "by meaning: `reported`, `sent`, `status`, `message`",
    "untold": "`unreported`, `unmetered`",
    "tell, tells, telling": "`report`, `log`, `show`, `distinguish`",
    "said, say, says, saying": "`sent`, `rendered`, `express`, `message`",
    "unsaid": "`unsupported`, `dropped`",
    "rests, rested, resting": "`cooldown`, `cooling`",
    "nobody, somebody, everybody, anybody": "name the client, the account or the user",
    "forgive": "`reset`",
    "remedy": "`suggestion`, `suggested_config`",
    "patience": "`*_TIMEOUT`, with its unit",
    "wheel": "`selector`",
}
BANNED = frozenset(word for row in WORDS for word in row.split(", "))

#: Names of constants that leave open what is counted, and in which unit: ``MAX_*_ENTRIES``, ``MAX_*_BYTES``,
#: ``MAX_*_CHARS`` and ``*_SECONDS`` do not.
UNITLESS = frozenset(("MOST", "LONGEST", "SHORTEST", "LARGEST", "PATIENCE", "LAST_WORDS"))

#: Identifiers that are used all the same: file and name -> why.
NAMES: dict[tuple[str, str], str] = {
    ("wire/authority.py", "_is_nobody"): "the unspecified address, which is no host",
}

#: Sentences that are used all the same: file and a part of the sentence -> why.
SENTENCES: dict[tuple[str, str], str] = {
    ("credentials/oauth/vendors.py", "documentation says"): "what a vendor's terms say, quoted",
    ("credentials/oauth/vendors.py", "Code Assist say"): "what a vendor's terms say, quoted",
}


def words_of(name: str) -> set[str]:
    """The words of an identifier, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def names_in(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The names that a module gives: to functions, classes, parameters, variables and attributes."""
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def sentences_in(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The texts of a module that may be shown: constants with a blank that are no docstrings. What stands
    in braces is a field's name and is not looked at.
    """
    documentation = {
        id(statement.value)
        for node in nodes
        for statement in (node.body if isinstance(getattr(node, "body", None), list) else ())
        if isinstance(statement, ast.Expr)
    }
    for node in nodes:
        text = node.value if isinstance(node, ast.Constant) and id(node) not in documentation else None
        if isinstance(text, str) and " " in text.strip():
            yield re.sub(r"\{[^{}]*\}", "", text)


def banned_in(sentence: str) -> set[str]:
    return BANNED & {word.lower() for word in re.findall(r"[A-Za-z]+", sentence)}


def test_names() -> None:
    """No identifier has a word of the table, but for those with a reason."""
    found = {
        (place, name) for place in places() for name in names_in(nodes_of(place)) if BANNED & words_of(name)
    }
    assert sorted(found - set(NAMES)) == []
    assert sorted(set(NAMES) - found) == [], "no longer needed"


def test_constants() -> None:
    """A constant's name shows what it is the limit of."""
    found = [
        (place, name)
        for place in places()
        for name in names_in(nodes_of(place))
        if name.strip("_") in UNITLESS
    ]
    assert found == []


def test_sentences() -> None:
    """No line of the log, of a command or of an error has one, but for those with a reason."""
    found = [(place, text) for place in places() for text in sentences_in(nodes_of(place)) if banned_in(text)]
    reasoned = {row for row in SENTENCES for place, text in found if row[0] == place and row[1] in text}
    left = [(place, text) for place, text in found if not any(p == place and t in text for p, t in reasoned)]
    assert left == []
    assert sorted(set(SENTENCES) - reasoned) == [], "no longer needed"


def test_glossary() -> None:
    """The page for developers has the same table."""
    text = (ROOT / "docs" / "extending.md").read_text().partition("\n## Words\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", text, flags=re.M)[1:])
    assert rows == WORDS


@pytest.mark.parametrize(
    ("code", "names", "sentences"),
    [
        ("told = 1", True, False),
        ("def f(vendor_says): pass", True, False),
        ("class RestsFor: pass", True, False),
        ("self.MAX_PATIENCE = 2", True, False),
        ("log.info('It rests for {span}')", False, True),
        ("f'{a} cannot be said to {b}'", False, True),
        ("log.info('{account} failed: {said}')", False, False),
        ("state = 'resting'", False, False),
        ("essay = retell = 1", False, False),
        ("def f():\n  'Tell nobody.'", False, False),
    ],
)
def test_each_way_is_seen(code: str, names: bool, sentences: bool) -> None:
    """Parts of names and words of sentences are seen; docstrings, fields and single words are not."""
    nodes = list(ast.walk(ast.parse(code)))
    assert any(BANNED & words_of(name) for name in names_in(nodes)) is names
    assert any(banned_in(text) for text in sentences_in(nodes)) is sentences
