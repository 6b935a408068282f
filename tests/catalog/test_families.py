"""What a model takes and can do is data: the table is right, and it is enough."""

from __future__ import annotations

import datetime

import msgspec
import pytest

from ampproxy.adapt.target import target_for
from ampproxy.catalog.compile import SOURCE, CatalogError, compiled, read
from ampproxy.catalog.families import (
    COMPILED,
    MEMBERS,
    NOTHING,
    Families,
    Family,
    Override,
    known,
    shipped,
    stated,
)
from ampproxy.catalog.names import bare
from ampproxy.desktop.doctor.capabilities import abilities
from ampproxy.ledger.prices import SHIPPED as PRICES
from ampproxy.ledger.prices import PriceBook, read_prices
from ampproxy.ledger.published import Published
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES

TEXT = SOURCE.read_text(encoding="utf-8")
TABLE = shipped().table


def test_compiled_form_is_current():
    """What the service reads says what ``families.yaml`` says: run python -m ampproxy.catalog.compile."""
    assert COMPILED.read_bytes() == compiled(TEXT, SOURCE.name)


def test_no_family_hides_another():
    """Every pattern of the table can be reached by some name."""
    for family in TABLE.families:
        for pattern in family.names:
            names = [bare(pattern.replace("*", other)) for other in ("", "x", "1", "-x", "9-x")]
            assert any(shipped().find(name) == family for name in names), pattern


def test_every_fact_has_its_source():
    """Who doubts a row can look."""
    assert [family.names for family in TABLE.families if list(stated(family)) and not family.source] == []


def test_dialects_are_known():
    """A slip in a dialect's name would make a row hold nowhere."""
    known = {ANTHROPIC, CHAT, COMPLETIONS, RESPONSES, GEMINI}
    assert {name for family in TABLE.families for name in family.dialects or ()} <= known


def test_successors_are_described_and_live():
    """What is named instead of a model is in the table and does not end before it."""
    for family in TABLE.families:
        if family.successor:
            after = shipped().find(family.successor)
            assert after != NOTHING
            assert not after.deprecated or (after.retires or datetime.date.max) > family.retires, family.names


def test_login_models_are_described_and_priced():
    """What logins are known to serve is in both tables."""
    prices = PriceBook(None, read_prices(PRICES), published=Published())
    for vendor in TABLE.vendors:
        for name in vendor.login_models:
            assert shipped().find(name) != NOTHING
            assert prices.find(name) is not None, name


@pytest.mark.parametrize(
    ("dialect", "model", "newest"),
    [
        (ANTHROPIC, "claude-opus-7", "claude-opus-5-5"),
        (ANTHROPIC, "claude-ballad-6-1", "claude-opus-5-5"),
        (RESPONSES, "gpt-7-astra", "gpt-6.2-astra"),
        (CHAT, "openai/gpt-11.2", "gpt-6.2-astra"),
        (GEMINI, "gemini-5-xenon", "gemini-4-argon"),
        (GEMINI, "gemini-pro-latest", "gemini-4-argon"),
    ],
)
def test_a_name_nobody_described_follows_the_newest(dialect, model, newest):
    """Tomorrow's model is asked as today's newest is, not as the first of its line was."""
    target = target_for(dialect, model)
    assert target == msgspec.structs.replace(target_for(dialect, newest), model=model)
    assert target.thinking != "unknown"
    assert abilities(model) == abilities(newest)


NEW = """\
as-of: 2027-02-01
vendors: [{name: acme, names: ["acme-*"]}]
shapes:
  - &acme {vendor: acme, thinking: level, levels: [low, max], source: https://acme.example/models}
families:
  - {<<: *acme, names: [acme-2], can-disable: false, max-output: 7777, sampling: false, tools: true,
     input: [text, image], context: 2_000_000, retires: 2027-12-31}
"""


def test_a_family_is_data_alone():
    """A row is all that a new model needs: the renderers' target, the doctor and the chat rules follow."""
    families = Families(read(NEW, "new.yaml"))
    target = target_for(CHAT, "acme/acme-2-mini", families)
    assert (target.thinking, target.levels, target.can_disable) == ("level", ("low", "max"), False)
    assert (target.max_output, target.sampling) == (7777, False)
    can = abilities("acme-2", families)
    assert (can.tools, can.sees, can.thinks, can.context) == (True, True, True, 2_000_000)
    assert families.find("acme-2").retires == datetime.date(2027, 12, 31)
    assert target_for(CHAT, "acme-3", families).thinking == "unknown"


WRONG = [
    ("families:\n  - {names: [a]}\n", ["f.yaml:1: as-of is missing", "f.yaml:1: vendors is missing"]),
    ("- a\n", ["f.yaml:1: expected a mapping of as-of, vendors and families"]),
    ("as-of: 2026-01-01\nvendors: []\nother: 1\nfamilies: []\n", ["f.yaml:3: unknown section other"]),
    (
        NEW + "  - {names: [b], thinking: sometimes}\n",
        ["f.yaml:8: Invalid enum value 'sometimes' - at `$.thinking`"],
    ),
    (NEW + "  - {names: [b], colour: red}\n", ["f.yaml:8: Object contains unknown field `colour`"]),
    (NEW + "  - {names: [b], tools: true, tools: false}\n", ["f.yaml:8: tools is defined twice"]),
    (NEW + "  - {names: []}\n", ["f.yaml:8: it has no names"]),
    (NEW + "  - {names: [b], context: many}\n  - {names: x}\n", ["f.yaml:8: Expected", "f.yaml:9: Expected"]),
    (NEW + "  - {names: [b\n", ["f.yaml:9: "]),
]


@pytest.mark.parametrize(("text", "complaints"), WRONG)
def test_a_wrong_row_is_told_with_its_line(text, complaints):
    """Every mistake of the table is named with the line of its row."""
    with pytest.raises(CatalogError) as error:
        read(text, "f.yaml")
    told = str(error.value).split("\n")
    assert len(told) >= len(complaints)
    for line, wanted in zip(told, complaints, strict=False):
        assert line.startswith(wanted)


def override(line, **members):
    return Override(Family(**members), f"config.yaml:{line}")


def test_overrides_replace_member_by_member():
    """The configuration has the last word on a member, its later entry over an earlier one, and no other."""
    families = known(
        (
            override(3, names=("claude-*",), max_output=1000, prefill=True),
            override(5, names=("claude-opus-5-5",), max_output=2000),
            override(7, names=("my-model",), thinking="level", levels=("high",), context=5000),
        )
    )
    opus, other = families.find("claude-opus-5-5-x"), families.find("claude-haiku-5-5")
    assert (opus.max_output, opus.prefill, opus.can_disable) == (2000, True, False)
    assert (other.max_output, other.can_disable) == (1000, True)
    assert target_for(CHAT, "my-model", families).levels == ("high",)
    assert abilities("my-model", families).context == 5000
    assert families.find("gpt-6-sol") == shipped().find("gpt-6-sol")


def test_each_value_has_its_origin():
    """Where a value is from can be shown: the shipped table or the line of the file."""
    families = known((override(9, names=("gpt-6-sol",), context=123),))
    found = {name: (value, origin) for name, value, origin in families.described("gpt-6-sol")}
    assert list(found) == [name for name in MEMBERS if name in found]
    assert found["context"] == (123, "config.yaml:9")
    value, origin = found["can_disable"]
    assert value is True
    assert origin.startswith(f"ampproxy, {TABLE.as_of}, https://")
    assert list(families.described("nobody-knows-it")) == []
