"""What each agent does when an answer breaks is through the gateway what it is at its own vendor: as many
requests, the same end, no call run twice or half; with ``AMPPROXY_AGENTS=1``.

Each is run twice, at a stand-in of its own vendor and through the gateway to that vendor, or another one,
with the same faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ampproxy.desktop.clients.agents import BY_NAME
from tests.agents.drivers import Errand
from tests.agents.test_agents import WHOLE, explained, runnable
from tests.agents.world import CLIENT, Play, Step, World, account_key

pytestmark = [pytest.mark.loopback, pytest.mark.skipif(not WHOLE, reason="AMPPROXY_AGENTS=1 runs these")]

#: A model that each agent asks for, by the vendor that has it under that name.
OWN = {
    "claude-code": ("anthropic", "claude-opus-4-6"),
    "codex": ("openai-responses", "gpt-5.4"),
    "gemini-cli": ("gemini", "gemini-3.1-pro-preview"),
    "opencode": ("openai-chat", "deepseek-reasoner"),
    "qwen-code": ("openai-chat", "deepseek-reasoner"),
    "copilot": ("openai-chat", "deepseek-reasoner"),
}
#: Of each agent a vendor that is not its own.
OTHER = {name: "gemini" if vendor == "anthropic" else "anthropic" for name, (vendor, _) in OWN.items()}
#: How many events of an answer with nothing but a call bring its beginning, by the vendor. Gemini's calls
#: come whole: there the words before it are cut.
INTO_A_CALL = {"anthropic": 4, "openai-responses": 4, "openai-chat": 2, "gemini": 2}
HALF = "This is half of an answer, which breaks off before its end, and nobody is to take it for one. " * 3
FAULTS: dict[str, Callable[[str], Step]] = {
    "cut": lambda vendor: Step(text=HALF, more={"cut": 9}),
    "early-end": lambda vendor: Step(text=HALF, more={"end": 9}),
    "overload": lambda vendor: Step(text=HALF, more={"error": 9}),
    "cut-in-a-call": lambda vendor: Step(
        text="Words before the call." if vendor == "gemini" else None,
        wants=(("shell", "echo twice >> twice.txt"),),
        more={"cut": INTO_A_CALL[vendor]},
    ),
    "rate-limit": lambda vendor: Step(more={"status": 429, "retry_after": 1.0}),
}


#: What an agent gets over with the gateway and not without it: (agent, where, fault). Alone Gemini CLI gives
#: up, or takes the half for the whole: it accepts any end behind what a tool returned. Qwen Code gives up at
#: an error event, but not where the stream then breaks off, as it does for what another vendor reports.
BETTER = {
    *(("gemini-cli", "own", fault) for fault in ("cut", "early-end", "cut-in-a-call")),
    *(("gemini-cli", "other", fault) for fault in ("cut", "early-end", "cut-in-a-call", "overload")),
    ("qwen-code", "other", "overload"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it.

    :param requests: how often the loop asked.
    :param ran: what its tools did.
    """

    status: int
    whole: bool
    requests: int
    ran: str


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], World]]:
    made: dict[str, World] = {}

    def world(vendor: str) -> World:
        if vendor not in made:
            names = [model for _, model in OWN.values()]
            more = "disable-cooling: true\n"
            made[vendor] = World(tmp_path_factory.mktemp(vendor), vendor, dict.fromkeys(names), more=more)
        return made[vendor]

    yield world
    for one in made.values():
        one.stop()


def outcome(name: str, world: World, fault: str, tmp_path: Path, *, direct: bool) -> tuple[Outcome, str]:
    """Let it run a tool, break the next answer, then end."""
    driver = runnable(name)
    work = tmp_path / ("direct" if direct else "through")
    work.mkdir()
    looks = (("shell", "echo once >> once.txt"),)
    steps = (Step(wants=looks), FAULTS[fault](world.vendor), Step(text="All done: Grüße."))
    play = Play(driver, steps)
    url, key = (world.stand_in.url, account_key(world.vendor)) if direct else (world.service.url, CLIENT)
    errand = Errand(tmp_path / f"home-{work.name}", work, url, key, OWN[name][1], "Please do it.", mcp=False)
    ran = world.run(driver, errand, play)
    tools = [path.read_text() if path.exists() else "" for path in (work / "once.txt", work / "twice.txt")]
    found = Outcome(ran.status, "All done: Grüße." in ran.answer, len(play.seen), " ".join(tools))
    return found, explained(ran, play, world)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("where", ["own", "other"])
def test_as_at_its_own_vendor(
    worlds: Callable[[str], World], tmp_path: Path, name: str, fault: str, where: str
) -> None:
    """The number of requests, the end, and what was run."""
    own = OWN[name][0]
    alone, _ = outcome(name, worlds(own), fault, tmp_path, direct=True)
    vendor = own if where == "own" else OTHER[name]
    found, why = outcome(name, worlds(vendor), fault, tmp_path, direct=False)
    assert found.ran.strip() == "once", why
    if (name, where, fault) in BETTER:
        assert (found.status, found.whole, found.requests) == (0, True, alone.requests + 1), f"{found}\n{why}"
        return
    assert found == alone, f"{found}\n{alone}\n{why}"
    if fault == "cut":
        assert found.whole is BY_NAME[name].asks_again, why
