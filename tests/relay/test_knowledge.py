"""What vendors' lists and newer data say reaches the requests, in the order of the layers."""

from __future__ import annotations

import datetime
import json
import os

import pytest
from msgspec.structs import replace

from ampproxy.catalog.compile import read
from ampproxy.catalog.families import Family, Override, shipped
from ampproxy.catalog.lifecycle import ending
from ampproxy.catalog.newer import DataSet
from ampproxy.relay.discovery import INTERVAL
from ampproxy.relay.knowledge import Knowledge, NewerData
from ampproxy.routing.discovered import Book, Declared, Found, dump, load
from tests.clocked import within
from tests.relay.test_discovery import World as Discovering
from tests.relay.test_discovery import begun
from tests.resources.harness import CLIENT_KEY, World

TWO = """
claude-api-key: [{api-key: one, base-url: 'http://a.test'}, {api-key: two, base-url: 'http://a.test'}]
"""
TODAY = datetime.date(2026, 11, 29)


def listing(**models: dict) -> bytes:
    """Anthropic's list of models with these members."""
    data = [{"id": name.replace("_", "-"), **members} for name, members in models.items()]
    return json.dumps({"data": data, "has_more": False}).encode()


def known(world: Discovering, model: str) -> dict[str, tuple[object, str]]:
    families = world.config.families.above(listed=world.discovery.declared(world.config.accounts))
    return {name: (value, origin) for name, value, origin in families.described(model)}


def test_a_list_is_known_with_its_origin(tmp_path):
    """Its members go before the shipped ones, say whose list it was, and outlive the process."""
    world = begun(folder=tmp_path)
    world.answer(listing(claude_opus_5_5={"max_tokens": 7777}))
    assert known(world, "claude-opus-5-5")["max_output"] == (
        7777,
        "the list of claude-api-key[0]'s vendor, 2023-11-14",
    )
    assert known(world, "claude-opus-5-5")["context"][0] == 1_000_000
    assert known(world, "claude-opus-5-5-x")["max_output"][0] == 128_000
    again = Discovering(folder=tmp_path)
    assert known(again, "claude-opus-5-5(high)")["max_output"][0] == 7777


def test_a_change_is_told_once():
    """What a vendor declares anew is in force at once, though the names are the same."""
    world = begun()
    world.answer(listing(claude_x={"max_tokens": 1000}))
    for tokens, changes in ((1000, 1), (2000, 2), (2000, 2)):
        world.clock.advance(INTERVAL)
        world.answer(listing(claude_x={"max_tokens": tokens}))
        assert world.changes == changes
        assert known(world, "claude-x")["max_output"][0] == tokens


def test_accounts_of_one_vendor_share_what_it_declares():
    """Each may be shown models of its own; their hourly answers change nothing."""
    world = begun(TWO)
    world.answer(listing(claude_x={"max_tokens": 1}, claude_y={"max_tokens": 2}))
    world.answer(listing(claude_x={"max_tokens": 1}, claude_z={"max_tokens": 3}))
    assert [known(world, f"claude-{name}")["max_output"][0] for name in "xyz"] == [1, 2, 3]
    changes = world.changes
    world.clock.advance(INTERVAL)
    world.answer(listing(claude_x={"max_tokens": 1}, claude_y={"max_tokens": 2}))
    world.answer(listing(claude_x={"max_tokens": 1}, claude_z={"max_tokens": 3}))
    assert world.changes == changes


def test_the_cache_of_before_is_read():
    """One without declarations, and one whose declarations are of no model."""
    old = b'{"salt":"s","accounts":{"a":{"models":["m"],"at":1.0}},"version":1}'
    assert load(old, 2.0) == Book("s", {"a": Found(("m",), 1.0)})
    odd = Declared((Family(names=("m",), context=1), Family(names=("a\nb",)), Family(names=())), 1.0)
    kept = load(dump(Book("s", places={"p": odd, "old": Declared(odd.families, -(10**7))})), 2.0)
    assert kept.places == {"p": Declared((Family(names=("m",), context=1),), 1.0)}


CONFIG = f"""
api-keys: ["{CLIENT_KEY}"]
claude-api-key: [{{api-key: k, base-url: "http://claude.test"}}]
catalog: [{{names: [claude-mine], max-output: 50}}]
"""


def layers(data: DataSet | None = None, **members: object) -> object:
    """Knowledge with a vendor's list and perhaps a newer data set."""
    listed = {
        name: Override(Family(names=(name,), **members), "list")
        for name in ("claude-opus-5-5", "claude-mine")
    }

    class Kept(NewerData):
        def read(self) -> DataSet | None:
            return data

    return Knowledge(Kept(None), lambda accounts: listed)


def sent(world: World, **members: object) -> dict:
    """What the vendor is asked."""
    body = {"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "hi"}], **members}
    world.request("POST", "/v1/chat/completions", body=json.dumps(body).encode())
    return json.loads(world.client.sent[-1].body)


def test_requests_go_by_what_the_vendor_declares():
    """From the moment that it is known, and for what is asked after it."""
    world = World(CONFIG)
    assert sent(world, reasoning_effort="none").get("thinking") != {"type": "disabled"}
    runtime = replace(
        world.generation.runtime, knowledge=layers(can_disable=True, thinking="level", max_output=999)
    )
    world.generation.runtime = runtime
    world.generation.find_models()
    body = sent(world, reasoning_effort="none", max_tokens=5000)
    assert (body["thinking"], body["max_tokens"]) == ({"type": "disabled"}, 999)


def test_order_of_the_layers():
    """Shipped, newer, listed, learned, and the configuration above all."""
    table = shipped().table
    facts = (Family(names=("claude-opus-5-5",), context=11, max_output=11, title="newer"),)
    later = DataSet("https://data.test/x.json", TODAY + datetime.timedelta(30), None, facts)
    config = World(CONFIG).config
    families = layers(later, max_output=22)(config)
    found = {name: (value, origin) for name, value, origin in families.described("claude-opus-5-5")}
    assert found["context"] == (11, "https://data.test/x.json, read on 2026-12-29")
    assert found["max_output"] == (22, "list")
    assert found["can_disable"][1].startswith(f"ampproxy, {table.as_of}")
    assert families.find("claude-mine").max_output == 50
    learned = {"claude-opus-5-5": Override(Family(names=("x",), sampling=True), "a refusal")}
    assert config.families.above(learned=learned).find("claude-opus-5-5").sampling is True
    assert config.families.above() is config.families


@pytest.mark.parametrize("text", [b"", b"{}", b"[1", b'{"source":"x","read":"2026-01-01","version":9}'])
def test_newer_data_that_cannot_be_read_is_none(tmp_path, text):
    """A damaged file is as if it were not there: the release's own data counts."""
    kept = NewerData(tmp_path)
    kept.path.write_bytes(text)
    config = World(CONFIG).config
    assert kept.read() is None
    assert Knowledge(kept, lambda accounts: {})(config) is config.families


def test_newer_data_is_read_when_it_has_changed(tmp_path):
    """At the next reload, without a restart; and not each time anew."""
    kept = NewerData(tmp_path)
    assert kept.read() is None
    one = DataSet("a", TODAY, None, (Family(names=("m",), context=1),))
    kept.write(one)
    assert kept.read() == one
    assert kept.read() is kept.read()
    two = DataSet("b", TODAY, None, (Family(names=("m",), context=2),))
    kept.write(two)
    assert kept.read() == two
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert kept.remove()
    assert not kept.remove()
    assert kept.read() is None
    assert os.listdir(tmp_path) == []


def test_data_older_than_the_release_does_not_count():
    """After an upgrade the release knows better."""
    before = shipped().table.as_of - datetime.timedelta(1)
    facts = (Family(names=("claude-opus-5-5",), context=11),)
    config = World(CONFIG).config
    assert layers(DataSet("x", before, None, facts))(config).find("claude-opus-5-5").context == 1_000_000


def test_finding_what_is_known_is_quick(tmp_path):
    """A request asks for the same models again and again: their facts are put together once."""
    families = layers(max_output=22)(World(CONFIG).config)
    families.find("claude-opus-5-5")
    within(0.5, lambda: [families.find("claude-opus-5-5") for _ in range(10_000)])


FAMILY = """
as-of: 2027-02-01
vendors: []
families:
  - {names: [acme-2], vendor: acme, source: https://acme.example, thinking: level, levels: [low, max],
     can-disable: false, max-output: 7777, context: 2_000_000, tools: true, input: [text, image],
     sampling: false, deprecated: true, retires: 2023-12-01, successor: acme-3}
"""
ACME = f"""
api-keys: ["{CLIENT_KEY}"]
openai-compatibility:
  - {{name: acme, base-url: "http://acme.test/v1", api-key-entries: [{{api-key: k}}], models: [acme-2-mini]}}
"""


@pytest.mark.parametrize("how", ["newer", "catalog"])
def test_a_new_family_is_data_alone(how):
    """A row of a newer table, or of the user's own: what is sent, what is listed and what is warned of."""
    rows = FAMILY.partition("families:\n")[2].replace(", source: https://acme.example", "")
    rows = rows.replace("vendor: acme, ", "").replace("_", "").replace("vendor: acme", "")
    world = World(ACME + ("catalog:\n" + rows if how == "catalog" else ""))
    if how == "newer":
        data = DataSet("x", TODAY, read(FAMILY, "new.yaml"))
        runtime = replace(world.generation.runtime, knowledge=layers(data))
        world.generation.runtime = runtime
        world.generation.find_models()
    body = {
        "model": "acme-2-mini",
        "max_tokens": 50_000,
        "temperature": 0.5,
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "messages": [{"role": "user", "content": "hi"}],
    }
    world.request("POST", "/v1/messages", body=json.dumps(body).encode())
    sent = json.loads(world.client.sent[-1].body)
    assert (sent["max_tokens"], sent["reasoning_effort"]) == (7777, "max")
    assert "temperature" not in sent
    card = json.loads(world.request("GET", "/v1/models/acme-2-mini").body)
    assert (card["context_length"], card["shutdown_date"]) == (2_000_000, "2023-12-01")
    assert (card["lifecycle"], card["replacement"]) == ("deprecated", "acme-3")
    found = ending("acme-2-mini", world.generation.families, datetime.date(2023, 11, 14))
    assert found is not None
    assert found.successor == "acme-3"
