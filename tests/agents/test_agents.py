"""Real coding agents through the gateway, from a prompt to the last word: three answers with thinking,
of which the first has two calls at once and the second one of an MCP tool, at strict stand-ins of vendors.

They run in a network namespace in which nothing is but the gateway's port, with a home directory of their
own. Three are run once, at a vendor that is not their own; with ``AMPPROXY_AGENTS=1`` all are, at each,
under each name by which they behave otherwise, and with ``translation: strict`` as well. An agent that is not
installed is skipped (:mod:`tests.agents.programs` installs them).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agents.drivers import DRIVERS, Driver, Errand
from tests.agents.world import CLIENT, STARTERS, Play, Ran, Step, World
from tests.interop.backends import proofs
from tests.interop.island import possible

pytestmark = pytest.mark.loopback

WHOLE = bool(os.environ.get("AMPPROXY_AGENTS"))
#: Where the three with dialects of their own are run in short: at a vendor of another one.
SHORT = {
    "claude-code": ("gemini", "claude-opus-5-5"),
    "codex": ("anthropic", "gpt-5.6-sol"),
    "gemini-cli": ("openai-responses", "gemini-3.1-pro-preview"),
}
CELLS = [
    (name, vendor, model, strict)
    for name, driver in DRIVERS.items()
    for vendor in STARTERS
    for model in driver.models
    for strict in (False, True)
    if WHOLE or (not strict and SHORT.get(name) == (vendor, model))
]
NAMES = sorted({model for driver in DRIVERS.values() for model in driver.models})
#: What strict translation refuses an agent, by its name, the vendor and the model -> words of the reason: the
#: agent shows them before anything is done.
REFUSED = {
    ("codex", "gemini", "gpt-5.6-sol"): "one call at a time",
    ("codex-base-url", "gemini", "gpt-5.6-sol"): "one call at a time",
    ("copilot", "openai-responses", "house-model"): "does not take temperature",
    ("copilot-messages", "openai-responses", "house-model"): "does not take temperature",
}
#: Vendors that run no web search beside functions: in strict mode Codex must not declare its own there.
NOT_SEARCHING = ("openai-chat", "gemini")
#: Agents that give thinking back with its proof, and vendors that prove it.
PROVING = ("claude-code", "claude-code-streaming", "codex", "codex-base-url")
AWKWARD = 'Grüße "quoted" \\back\\slash\ttab'
NOTES = "Zürich & Köln"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, bool], World]]:
    """A world for each vendor, made when it is first asked for."""
    made: dict[tuple[str, bool], World] = {}

    def world(vendor: str, strict: bool) -> World:
        if (vendor, strict) not in made:
            more = "translation: strict\n" if strict else ""
            made[vendor, strict] = World(tmp_path_factory.mktemp(vendor), vendor, NAMES, more=more)
        return made[vendor, strict]

    yield world
    for one in made.values():
        one.stop()


def runnable(name: str) -> Driver:
    """The driver of an agent; skips the test if it cannot be run here."""
    driver = DRIVERS[name]
    if driver.program.missing:
        pytest.skip(f"{driver.program.missing}: python -m tests.agents.programs installs it")
    if not possible():
        pytest.skip("this machine lets us make no network namespace")
    return driver


def steps(work: Path) -> tuple[Step, ...]:
    """The part of the model."""
    (work / "notes.txt").write_text(f"{NOTES}\n")
    looks = (("read", str(work / "notes.txt")), ("shell", "echo ran >> ran.txt; echo shell-out"))
    return (
        Step(thinking="First I look.", wants=looks),
        Step(thinking="Now the probe.", text="On to the probe. ", wants=(("mcp", AWKWARD),)),
        Step(text="All done: Grüße."),
    )


def explained(ran: Ran, play: Play, world: World) -> str:
    """Everything that a failure needs to be understood."""
    seen = [(one.text[-200:], one.results, sorted(one.tools)) for one in (*play.seen, *play.others)]
    asked = [f"{one.method} {one.uri} {one.status}" for one in world.stand_in.requests]
    parts = (ran.output[-3000:], ran.errors[-3000:], world.service.log_text[-3000:])
    return "\n\n".join((f"status {ran.status}", *parts, str(seen), str(asked), str(play.faults)))


@pytest.mark.parametrize(("name", "vendor", "model", "strict"), CELLS)
def test_loop(
    worlds: Callable[[str, bool], World], tmp_path: Path, name: str, vendor: str, model: str, strict: bool
) -> None:
    """The agent's tools are run once, with the arguments that the model gave; the model sees what they
    returned, in the order of its calls, and its own thinking; the user sees the model's last words.
    """
    driver, world = runnable(name), worlds(vendor, strict)
    work = tmp_path / "work"
    work.mkdir()
    errand = Errand(
        *(tmp_path / "home", work, world.service.url, CLIENT, model, "Please do the test."),
        search=not (strict and vendor in NOT_SEARCHING),
    )
    play = Play(driver, steps(work))
    logged = len(world.service.log_text)
    ran = world.run(driver, errand, play)
    why = explained(ran, play, world)
    if strict and (name, vendor, model) in REFUSED:
        assert ran.status != 0, why
        assert REFUSED[name, vendor, model] in ran.output + ran.errors, why
        assert not play.seen
        assert not (work / "ran.txt").exists()
        return
    assert ran.status == 0, why
    assert "All done: Grüße." in ran.answer, why
    assert not play.faults, why
    assert (work / "ran.txt").read_text() == "ran\n", why
    assert json.loads(errand.record.read_text()) == AWKWARD, why
    assert not world.refused, why
    assert world.stand_in.leaks == []
    results = [result for one in play.seen for result in one.results]
    assert [text for text in results if NOTES in text], why
    assert [text for text in results if "shell-out" in text], why
    assert [text for text in results if "echo: " in text and "slash" in text], why
    if name in PROVING and vendor != "openai-chat":
        assert proofs(vendor, world.stand_in.requests[-1].json), why
    assert CLIENT not in world.service.log_text[logged:]


@pytest.mark.skipif(not WHOLE, reason="AMPPROXY_AGENTS=1 runs it")
@pytest.mark.parametrize("vendor", STARTERS)
def test_over_websockets(tmp_path: Path, vendor: str) -> None:
    """Codex gets the WebSocket that it asks for where the setting allows it, and its turn goes over it."""
    pytest.importorskip("wsproto")
    driver = runnable("codex-base-url")
    work = tmp_path / "work"
    work.mkdir()
    world = World(tmp_path / "gateway", vendor, ["gpt-5.5"], more="streaming: {websockets: true}\n")
    errand = Errand(tmp_path / "home", work, world.service.url, CLIENT, "gpt-5.5", "Please do the test.")
    play = Play(driver, steps(work))
    try:
        ran = world.run(driver, errand, play)
        why = explained(ran, play, world)
        world.service.wait_for_log(" 101 completed ")
    finally:
        world.stop()
    assert ran.status == 0, why
    assert "All done: Grüße." in ran.answer, why
    assert not play.faults, why
    assert (work / "ran.txt").read_text() == "ran\n", why
    assert json.loads(errand.record.read_text()) == AWKWARD, why
    assert not world.refused, why
