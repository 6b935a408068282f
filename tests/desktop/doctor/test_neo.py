"""What the doctor finds of the way from Amp's cloud."""

from __future__ import annotations

from typing import Any

import pytest

from ampproxy.amp.connections import (
    CUSTOM_URL,
    Connection,
    ConnectionConfig,
    ConnectionWarning,
    Listing,
)
from ampproxy.desktop.doctor.context import Context, NeoSeen
from ampproxy.desktop.doctor.finding import Finding, note, ok
from ampproxy.status import CloudTraffic
from tests.desktop.doctor.test_checks import CONFIG, NOW, SEP, cli, context, found, levels

URL = "https://gw.example.org"
NEO = f"""
neo:
  public-url: {URL}
  listen: 127.0.0.1:8319
  key: canary-key-for-the-cloud-ee55
"""
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzAxIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
SERVED = CONFIG.replace("claude-sonnet-4-6", "claude-fable-5-1")
MINE = Connection(
    "mine",
    CUSTOM_URL,
    True,
    name="ampproxy anthropic",
    priority=1,
    config=ConnectionConfig(URL, "anthropic-messages", "anthropic/claude-fable-5-1 -> claude-fable-5-1"),
)


def seen(*connections: Connection, **more: Any) -> Context:
    """A machine with the section, and these connections at Amp."""
    listing = Listing(connections, (CUSTOM_URL,))
    return context(SERVED + NEO, neo_seen=NeoSeen((ok("It answers."),), listing, **more))


def wrong(one: Context) -> list[Finding]:
    """The findings that are worse than a note."""
    return [finding for finding in found("neo", one) if finding.level in ("warning", "problem")]


def changed(**values: Any) -> Connection:
    import msgspec

    return msgspec.structs.replace(MINE, **values)


def to(url: str = URL, api_format: str = "anthropic-messages", mapping: str | None = "") -> Connection:
    mapping = MINE.config.modelMapping if mapping == "" else mapping
    return changed(config=ConnectionConfig(url, api_format, mapping))


def test_nothing() -> None:
    """Without a section it is a word to those who have a client that could use one."""
    assert levels("neo", context()) == ["ok"]
    (finding,) = found("neo", context(clis=(cli(SEP),)))
    assert (finding.level, finding.todo) == ("note", "ampproxy neo setup")


def test_well() -> None:
    """An active connection at the right address, before which nothing goes; what stays with Amp is a note."""
    one = seen(MINE)
    assert wrong(one) == []
    texts = [finding.text for finding in found("neo", one)]
    assert "It answers." in texts
    assert "The connection ampproxy anthropic is active, and nothing goes before it." in texts
    assert any("zhipuai/glm-5.3-flash (low)" in text for text in texts if "stay with Amp" in text)


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (changed(active=False), "is not active"),
        (to("https://gw.example.org/v1"), "its address is https://gw.example.org/v1"),
        (to(api_format="responses"), "its address is https://gw.example.org, not https://gw.example.org/v1"),
        (to(mapping=None), "by a pattern"),
        (to(mapping="*/*"), "by a pattern"),
        (to(mapping="anthropic/*"), "by a pattern"),
        (to(mapping="xai/grok-6 -> grok-6"), "xai/grok-6 is not served here"),
        (to(mapping="no mapping"), "cannot be read"),
        (changed(warnings=(ConnectionWarning("It is odd.", "Mend it."),)), "Amp warns: It is odd"),
    ],
)
def test_wrong_connection(connection: Connection, expected: str) -> None:
    """Each mistake of a connection is named, with what mends it."""
    assert any(expected in finding.text for finding in wrong(seen(connection))), wrong(seen(connection))


def test_others() -> None:
    """No connection at all; and one of another kind that takes the model first."""
    assert [finding.todo for finding in wrong(seen())] == ["ampproxy neo setup --run"]
    first = Connection("sub", "model_provider_claude_sub", True, name="My Claude", priority=0)
    (finding,) = wrong(seen(MINE, first))
    assert "goes to My Claude first" in finding.text
    assert finding.todo == "amp config model-providers set-priority mine 0"


def test_tested_by_amp() -> None:
    """What Amp's own test found, with --live."""
    good, bad = seen(MINE, tested=(("a", ""),)), seen(MINE, tested=(("a", "530 from the edge"),))
    assert wrong(good) == []
    (finding,) = wrong(bad)
    assert finding.level == "problem"
    assert "530 from the edge" in finding.text


def test_served() -> None:
    """What came of Amp's own requests, with --live and a thread."""
    one = seen(MINE, served=(("anthropic/claude-fable-5-1", ""), ("openai/gpt-5.5", "530 from the edge")))
    (finding,) = wrong(one)
    assert finding.level == "problem"
    assert "openai/gpt-5.5 failed: 530 from the edge" in finding.text
    assert any("claude-fable-5-1 was served" in one.text for one in found("neo", one))


def test_traffic() -> None:
    """A wide key at the public address; a tunnel whose requests look like those of this machine, where all of
    the gateway is behind it.
    """
    (finding,) = wrong(seen(MINE, traffic=CloudTraffic(wide_client="laptop", wide_at=NOW)))
    assert "The client key of laptop was used at the public address" in finding.text
    unmarked = CloudTraffic(unmarked_at=NOW)
    assert wrong(seen(MINE, traffic=unmarked)) == []
    assert wrong(seen(MINE, traffic=CloudTraffic())) == []
    bare = context(
        SERVED + NEO.replace("  listen: 127.0.0.1:8319\n", ""),
        neo_seen=NeoSeen((), Listing((MINE,), (CUSTOM_URL,)), traffic=unmarked),
    )
    (finding,) = wrong(bare)
    assert "adds no X-Forwarded-For" in finding.text


def test_machine() -> None:
    """What of this machine would end the way is shown as it was found."""
    assert any(one.text == "It sleeps." for one in found("neo", seen(MINE, machine=(note("It sleeps."),))))


@pytest.mark.parametrize(
    ("old", "new", "level", "expected"),
    [
        ("  listen: 127.0.0.1:8319\n", "", "note", "no listener for Amp's cloud alone"),
        (f"  public-url: {URL}\n", "", "warning", "public-url is not set"),
        ("  listen", "  expires: 2026-12-05\n  listen", "warning", "ends within 14 days"),
        ("  listen", "  expires: 2026-11-05\n  listen", "warning", "has expired"),
        (
            "\nneo:",
            "\nampcode: {upstream-url: 'https://amp.test', restrict-management-to-localhost: false}\nneo:",
            "problem",
            "restrict-management-to-localhost",
        ),
        (
            "\nneo:",
            f"\nampcode: {{upstream-api-key: {JWT}}}\nneo:",
            "warning",
            "sign-in with OAuth",
        ),
    ],
)
def test_section(old: str, new: str, level: str, expected: str) -> None:
    """What is wrong with the section, or unwise beside it."""
    one = context(SERVED + NEO.replace(old, new), now=NOW)
    assert any(expected in finding.text and finding.level == level for finding in found("neo", one))


def test_unfit() -> None:
    """A mapping's target that cannot do what a conversation needs."""
    text = CONFIG.replace("claude-sonnet-4-6", "gpt-oss-20b") + NEO
    text += "ampcode:\n  model-mappings: [{from: claude-fable-5-1, to: gpt-oss-20b}]\n"
    assert any(
        "anthropic/claude-fable-5-1 is served by gpt-oss-20b" in one.text for one in wrong(context(text))
    )


def test_client_with_a_section() -> None:
    """Where there is a section the client's generation is no warning any more."""
    assert [one.level for one in found("clients", context(clis=(cli(SEP),)))] == ["warning"]
    assert [one.level for one in found("clients", context(SERVED + NEO, clis=(cli(SEP),)))] == ["ok"]
