"""Long tool loops, as agents run them: parallel calls and thinking, over every pair of dialects."""

from __future__ import annotations

import json
import os

import pytest

from ampproxy.testing.script import Script
from tests.interop.agents import AGENTS
from tests.interop.backends import BACKENDS, PROVERS, answered, proofs
from tests.running import NEWER

pytestmark = pytest.mark.loopback

#: ``AMPPROXY_LONG=1`` runs them as long as real threads are.
TURNS = 50 if os.environ.get("AMPPROXY_LONG") else 8

TOOLS = {
    "Read": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    "Grep": {
        "type": "object",
        "properties": {"pattern": {"type": "string"}, "depth": {"type": "integer"}},
        "required": ["pattern"],
    },
}
TARGETS = [*BACKENDS.items(), *NEWER.items()]
PAIRS = [(client, backend, model) for client in AGENTS for backend, model in TARGETS]


def _calls(turn: int) -> tuple[tuple[str, str], ...]:
    """One to four calls, the same tool twice among them, with awkward arguments."""
    calls = (
        ("Read", json.dumps({"path": f"/{turn}/ä\u2028.py"})),
        ("Grep", json.dumps({"pattern": f'"{turn}\\', "depth": 2**53 + 1 + turn})),
        ("Read", json.dumps({"path": f"/{turn}/b\n"})),
        ("Grep", json.dumps({"pattern": ""})),
    )
    return calls[: 1 + turn % 4]


def _result(name: str, arguments: object) -> str:
    return f"{name} gave {json.dumps(arguments, sort_keys=True)}"


@pytest.mark.parametrize(("client", "backend", "model"), PAIRS, ids=lambda value: value)
def test_loop(world, client, backend, model):
    """Every call meets its own result, in order, in every request; own proofs come back; no refusal."""
    stand_in = world.vendors[backend]
    agent = AGENTS[client](world.url, world.key, model, TOOLS)
    wanted: list[tuple[str, object, str]] = []
    agent.user("Go.")
    for turn in range(TURNS):
        if turn % 10 == 9:
            agent.user(f"Go on with {turn}.")
        calls = _calls(turn)
        text = f"Turn {turn}." if turn % 3 == 0 else ""
        stand_in.script(Script(text=text, thinking=f"I think {turn}.", calls=calls))
        got = agent.ask()
        assert [(name, arguments) for _, name, arguments in got] == [
            (name, json.loads(arguments)) for name, arguments in calls
        ]
        assert len({call[0] for call in got if call[0]}) in (0, len(got))
        agent.give([(call, _result(call[1], call[2])) for call in got])
        wanted += [(name, arguments, _result(name, arguments)) for _, name, arguments in got]
    stand_in.script(Script(text="Done."))
    assert agent.ask() == []
    agent.close()
    assert [one.status for one in stand_in.requests] == [200] * (TURNS + 1)
    so_far = 0
    for turn, request in enumerate(stand_in.requests):
        body = request.json
        assert answered(backend, body) == wanted[:so_far]
        so_far += len(_calls(turn))
        if turn and client != "openai-chat" and backend in PROVERS:
            assert proofs(backend, body)


def test_vendors_take_turns(world):
    """One thread whose every turn is another vendor's, for as many rounds: no vendor refuses it."""
    for client, kind in AGENTS.items():
        agent = kind(world.url, world.key, "", TOOLS)
        wanted: list[tuple[str, object, str]] = []
        for turn in range(TURNS):
            backend, agent.model = TARGETS[turn % len(TARGETS)]
            agent.user(f"Turn {turn}.")
            stand_in = world.vendors[backend]
            stand_in.script(Script(thinking=f"I think {turn}.", calls=_calls(turn)), Script(text="Next."))
            got = agent.ask()
            agent.give([(call, _result(call[1], call[2])) for call in got])
            wanted += [(name, arguments, _result(name, arguments)) for _, name, arguments in got]
            agent.ask()
            assert answered(backend, stand_in.requests[-1].json) == wanted, (client, turn)
        agent.close()


def test_vendors_change_within_a_loop(world):
    """The same when the vendor changes between a call and its result, as when an account is exhausted."""
    for client, kind in AGENTS.items():
        agent = kind(world.url, world.key, "", TOOLS)
        wanted: list[tuple[str, object, str]] = []
        agent.user("Go.")
        for turn in range(TURNS):
            backend, agent.model = TARGETS[turn % len(TARGETS)]
            stand_in = world.vendors[backend]
            stand_in.script(Script(thinking=f"I think {turn}.", calls=_calls(turn)))
            got = agent.ask()
            assert answered(backend, stand_in.requests[-1].json) == wanted, (client, turn)
            agent.give([(call, _result(call[1], call[2])) for call in got])
            wanted += [(name, arguments, _result(name, arguments)) for _, name, arguments in got]
        agent.close()
