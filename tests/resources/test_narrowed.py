"""A client key whose rights or limits a reload narrows: what is under way with it and beyond them ends, in
the dialect of its client; everything else goes on.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.neo.world import CloudWorld
from tests.resources.harness import CLIENT_KEY, World
from tests.resources.test_client_rights import ACCOUNTS, KEY, ask, world
from tests.resources.test_provider import AMP, ANSWER, DELTA, JSON, ROOT, SSE, START, STOP
from tests.resources.test_tunnel import SWITCH, UPGRADE, Upstream

DAY = "requests-per-day"


def config(**members: object) -> str:
    more = "".join(f", {name.replace('_', '-')}: {json.dumps(value)}" for name, value in members.items())
    return f"api-keys: [{CLIENT_KEY}, {{name: ci, key: {KEY}{more}}}]\n{ACCOUNTS}"


def stream(here: World, model: str = "claude-local", path: str = ROOT, key: str = KEY) -> tuple[Any, Any]:
    """One that has begun: the client's side, and the vendor's."""
    connection = ask(here, model, path, key, stream=True)
    upstream = here.client.sent[-1].respond(200, SSE)
    upstream.data(START + DELTA)
    here.turn()
    return connection, upstream


def check_ended(connection: Any, upstream: Any, *words: bytes) -> None:
    """With the error event of its dialect, no clean end, and the vendor's connection closed."""
    assert connection.answer.rpartition(b"event: ")[2].startswith(b"error\ndata: ")
    for word in words:
        assert word in connection.answer
    assert not connection.ended_cleanly
    assert connection.closed
    assert upstream.state == "stopped"


def check_goes_on(here: World, connection: Any, upstream: Any) -> None:
    upstream.data(STOP)
    upstream.done()
    here.turn()
    assert connection.ended_cleanly


@pytest.mark.parametrize(
    ("model", "path", "members", "word"),
    [
        ("claude-local", ROOT, {"models": ["claude-other"]}, b"api-keys[].models"),
        ("claude-wanted", AMP, {"models": ["claude-local"]}, b"api-keys[].models"),
        ("claude-local", ROOT, {"accounts": ["claude-api-key[1]"]}, b"api-keys[].accounts"),
        ("claude-local", ROOT, {"routes": ["amp"]}, b"api-keys[].routes"),
        ("claude-unheard", AMP, {"amp": False}, b"api-keys[].amp"),
    ],
)
@pytest.mark.parametrize("before", [{}, {"limits": {DAY: 9}}])
def test_rights(model: str, path: str, members: dict[str, object], word: bytes, before: Any) -> None:
    """What they no longer open ends, whether the key had rights of its own before or opened everything; the
    stream of another client goes on.
    """
    here = World(config(**before))
    mine, upstream = stream(here, model, path)
    other = stream(here, model, path, CLIENT_KEY)
    assert here.use(config(**before, **members)) == 1
    if model == "claude-unheard":
        # What Amp answers is passed through as it is, without an event of ours in it.
        assert mine.closed
        assert not mine.ended_cleanly
    else:
        check_ended(mine, upstream, b"permission_error", word)
    assert not other[0].closed
    assert here.exchanges[0]["code"].endswith("not_allowed")


@pytest.mark.parametrize(
    "members", [{"models": ["claude-l*"]}, {"accounts": ["claude-api-key[0]"]}, {"routes": ["models"]}]
)
def test_rights_that_still_open_it(members: dict[str, object]) -> None:
    """Nothing ends, and the stream comes to its end."""
    here = World(config())
    going = stream(here)
    assert here.use(config(**members)) == 0
    check_goes_on(here, *going)


def test_before_the_answer() -> None:
    """Who still waits is refused by status."""
    here = World(config())
    connection = ask(here)
    assert here.use(config(models=["claude-other"])) == 1
    assert connection.status == 403
    assert here.client.sent[0].cancelled


def test_no_account_that_was_taken_away() -> None:
    """A request that is under way at an account is not taken to one that its client may no longer use."""
    here = World(config())
    connection = ask(here)
    assert here.use(config(accounts=["claude-api-key[0]"])) == 0
    here.client.sent[0].respond_whole(529, b'{"type":"error","error":{"type":"overloaded_error"}}', JSON)
    assert len(here.client.sent) == 1
    assert connection.status == 529


def test_tunnel() -> None:
    """It ends with the class of its route."""
    here = World(config())
    upstream = Upstream(here)
    connection = here.request("GET", "/api/socket", UPGRADE, key=KEY)
    upstream.say(SWITCH)
    assert here.use(config(routes=["amp"])) == 0
    assert here.use(config(routes=["models"])) == 1
    assert connection.closed


def test_expiry_and_rotation() -> None:
    """An end that has come already, and an old key that is no longer valid."""
    here = World(config())
    first = stream(here)
    assert here.use(config(expires="2023-11-14T22:14Z")) == 0
    assert here.use(config(expires="2023-11-14T22:13Z")) == 1
    check_ended(*first, b"authentication_error")


def test_limits() -> None:
    """Lower ones: of what is under way the requests that began first stay, as many as there may be."""
    here = World(config(limits={DAY: 9}))
    streams = [stream(here) for _ in range(4)]
    assert here.use(config(limits={DAY: 8})) == 0
    assert here.use(config(limits={DAY: 2})) == 2
    for one in streams[2:]:
        check_ended(*one, b"rate_limit_error", b"requests-per-day", b"renews at")
    for going in streams[:2]:
        check_goes_on(here, *going)
    # They stay counted, for they were made.
    assert ask(here).status == 429


def test_limits_of_another_period() -> None:
    """A limit that is new counts from then on."""
    here = World(config(limits={DAY: 9}))
    going = stream(here)
    assert here.use(config(limits={DAY: 9, "requests-per-week": 1})) == 0
    ask(here)
    here.client.sent[-1].respond_whole(200, ANSWER, JSON)
    assert ask(here).status == 429
    assert here.use(config(limits={DAY: 8, "requests-per-week": 1})) == 0
    check_goes_on(here, *going)


def test_concurrent() -> None:
    """The last ones end; also where there was no such limit before."""
    here = World(config())
    streams = [stream(here) for _ in range(3)]
    assert here.use(config(limits={"concurrent": 2})) == 1
    check_ended(*streams[2], b"rate_limit_error", b"concurrent")
    for going in streams[:2]:
        check_goes_on(here, *going)


def test_widened() -> None:
    """Rights that are given back count for what is under way, too."""
    here = world(models=["claude-local"], limits={DAY: 1})
    going = stream(here)
    assert here.use(f"api-keys: [{CLIENT_KEY}, {{name: ci, key: {KEY}}}]\n{ACCOUNTS}") == 0
    check_goes_on(here, *going)


@pytest.mark.parametrize("format", ["anthropic-messages", "responses", "chat-completions"])
@pytest.mark.parametrize("more", [", models: [gemini-*]", ", limits: {requests-per-day: 1}"])
def test_amp_cloud(format: str, more: str) -> None:
    """The key of Amp's cloud likewise, in each of its formats."""
    from ampproxy.testing.amp_formats import ModelError
    from ampproxy.testing.script import Script
    from tests.neo import world as cloud

    here = CloudWorld(format, "anthropic", ", limits: {requests-per-day: 9}")
    asked = []
    for number in (1, 2):
        talk = here.talk(f"T-11111111-2222-3333-4444-55555555000{number}")
        talk.user("Hello")
        here.vendors.script("anthropic", Script(events=50, interval=1))
        asked.append(here.begin(talk))
        here.world.clock.pump([1] * 10)
    assert here.world.use(cloud.config(more)) == (1 if "limits" in more else 2)
    with pytest.raises(ModelError):
        asked[1].read()
    assert asked[1].connection.closed
    assert not asked[1].connection.ended_cleanly
    assert b"neo." in asked[1].connection.answer
