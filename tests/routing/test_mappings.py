"""A careless pattern of the user's stops nobody, and sends nothing to Amp."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from ampproxy.config.load import parse
from ampproxy.config.schema import ModelMapping
from ampproxy.routing.decide import MAX_NAME, Router
from ampproxy.routing.mappings import Mappings, SlowPattern
from ampproxy.routing.route import RouteKind
from ampproxy.wire.patterns import slow_text
from tests.clocked import within

#: Each with a name that Python's own module takes minutes or years for.
EVIL = [
    (r"(a+)+b", "a" * MAX_NAME),
    (r"^(a|aa)+$", "a" * (MAX_NAME - 1) + "!"),
    (r"(x+x+)+y", "x" * MAX_NAME),
    (r"^(([a-z])+.)+[A-Z]([a-z])+\d$", "a" * MAX_NAME),
    (r"(.*a){20}x", "a" * MAX_NAME),
]
#: Patterns that Python's own module is slow for, and the one with the deadline is not: it takes a
#: twentieth of the budget for such names, so that a slow machine is no trouble either.
SPARED = [
    (r"^(claude-?)?([a-z0-9]+-?)+-haiku$", "claude" + "a" * 120 + "-haiku!"),
    (r"^(\w+[-.]?)*:$", "claude-opus-4.5-" * 31 + ":!"),
    (r"(a|a)*b$", "a" * MAX_NAME),
    (r"^([a-z]+|[a-c0-9]+-?)+haiku-.$", "claude" + "a" * 120 + "haiku-!!"),
]
#: Patterns as people write them.
GOOD = [
    "^claude-haiku-",
    "gpt-5(\\.[0-9]+)?(-mini|-nano)?$",
    ".*haiku.*",
    "^(openai/)?gpt-[0-9.]+(-[a-z]+)*$",
    "^[a-z0-9.-]+:free$",
    "claude-(opus|sonnet)-[0-9]+(-[0-9]{8})?",
    "(?i)^gemini-.+-(pro|flash)(-preview-[0-9-]+)?$",
    "^(?!claude).*",
]


def mapping(source: str, target: str = "b", line: int = 7, roles: tuple[str, ...] = ()) -> ModelMapping:
    pattern = re.compile(source, re.IGNORECASE)
    return ModelMapping(source=source, target=target, pattern=pattern, line=line, roles=roles)


def configured(source, folder):
    text = CONFIG.format(source=source)
    return parse(text, name="f", environ={}, home=folder, read_secret=Path.read_text)


quickly = partial(within, 0.05)


def too_slow(table, name, role=""):
    """The mapping whose pattern takes too long for a name."""
    with pytest.raises(SlowPattern) as caught:
        table.find(name, role)
    return caught.value.mapping


@pytest.mark.parametrize(("source", "name"), EVIL)
def test_a_bound_that_holds(source, name):
    """However long a pattern would take, the answer is there at once: nobody knows."""
    table = Mappings([mapping(source)])
    assert table.find("b-b", "smart") is None
    assert quickly(lambda: too_slow(table, name)).line == 7


@pytest.mark.parametrize(("source", "name"), SPARED)
def test_spared(source, name):
    """Some such patterns are no trouble at all."""
    assert quickly(lambda: Mappings([mapping(source)]).find(name)) is None


def test_all_patterns_share_the_time():
    """Twenty such patterns take no longer than one, with and without a role."""
    sources = [source for source, name in EVIL if set(name) == {"a"}]
    evil = [mapping(source, roles=roles) for source in sources * 10 for roles in ((), ("smart",))]
    table = Mappings(evil)
    for role in ("", "smart"):
        quickly(lambda role=role: too_slow(table, "a" * MAX_NAME, role))


@pytest.mark.parametrize("source", GOOD)
def test_usual_patterns(source):
    """They match as Python's own module does, and no name that is made up makes them slow."""
    table, own = Mappings([mapping(source)]), re.compile(source, re.IGNORECASE)
    for name in ("claude-haiku-4-5", "GPT-5.2-Mini", "openai/gpt-5.4-codex", "x:free", "claude-opus-4-2025",
                 "gemini-3-pro-preview-11-2025", "", "é" * 40, "a-" * 256):  # fmt: skip
        assert (table.find(name) is not None) == (own.search(name) is not None), name
    assert slow_text(source, MAX_NAME) == ""


CONFIG = """
ampcode:
  upstream-url: https://amp.test
  model-mappings:
    - {{from: '{source}', to: b, regex: true}}
openai-compatibility:
  - {{name: x, base-url: "https://x.test", models: [{{name: b}}]}}
"""


@pytest.mark.parametrize(("source", "name"), EVIL)
def test_check_tells(source, name, tmp_path):
    """``ampproxy check``, the start and a reload warn of such a pattern, with its line."""
    config = configured(source, tmp_path)
    (warning,) = [told for told in config.warnings if "takes too long" in told]
    assert warning.startswith("f:5: ampcode.model-mappings[0].from: takes too long")
    assert "is refused" in warning


@pytest.mark.parametrize("source", GOOD)
def test_check_is_silent(source, tmp_path):
    """No warning of a pattern that is none of these."""
    config = configured(source, tmp_path)
    assert not [told for told in config.warnings if "too long" in told]


@pytest.mark.parametrize(("source", "name"), EVIL)
def test_nothing_goes_to_amp(source, name, tmp_path):
    """A name that cannot be compared in time is refused, though Amp may serve what no mapping is for; the
    same name costs no time again.
    """
    config = configured(source, tmp_path)
    router, route = quickly(lambda: ((router := Router(config)), router.route(name, amp=True)))
    assert router.route("unmapped!", amp=True).kind is RouteKind.AMP
    assert route.kind is RouteKind.NONE
    assert route.slow is not None
    assert "line 5" in route.reasons[-1]
    assert router.route(name, amp=True) is route
