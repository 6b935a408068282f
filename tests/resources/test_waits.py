"""How long a client is told to wait: what the vendor says, but no longer than ``routing.max-cooldown``."""

from __future__ import annotations

import json
from email.utils import formatdate

from tests.cases import each
from tests.resources.harness import CONFIG, Connection, World

WALL = 1_700_000_000.0
QUESTION = b'{"model":"claude-local","max_tokens":5,"messages":[{"role":"user","content":"x"}]}'
ANSWER = b'{"id":"m","type":"message","model":"m","content":[]}'
ERROR = json.dumps({"type": "error", "error": {"type": "rate_limit_error", "message": "no"}}).encode()


def told(connection: Connection, name: str) -> list[str]:
    head = connection.answer.partition(b"\r\n\r\n")[0].decode().lower()
    return [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith(f"{name}: ")]


@each("status", [200, 400, 429, 529])
@each(
    ("header", "value", "expected"),
    [
        ("retry-after", "7", "7"),
        ("retry-after", "99999999999", "600"),
        ("retry-after", "9" * 400, None),
        ("retry-after", "nan", None),
        ("retry-after", "soon", None),
        ("retry-after", formatdate(WALL + 60, usegmt=True), "as it is"),
        ("retry-after", formatdate(WALL + 10**9, usegmt=True), "600"),
        ("retry-after-ms", "1500", "1500"),
        ("retry-after-ms", "99999999999", "600000"),
        ("retry-after-ms", "soon", None),
    ],
)
def test_bounded(status: int, header: str, value: str, expected: str | None) -> None:
    """In seconds, in milliseconds, and as a date, of answers and of errors."""
    world = World(CONFIG + "routing: {max-cooldown: 10m}\ndisable-cooling: true\n")
    connection = world.request("POST", "/v1/messages", body=QUESTION)
    kind = {"content-type": ["application/json"], header: [value]}
    world.client.sent[0].respond_whole(status, ANSWER if status == 200 else ERROR, kind)
    world.turn()
    assert connection.status == status
    found = told(connection, header)
    if expected is None:
        assert found == [] or int(found[0]) <= 600
    else:
        assert found == [value.lower() if expected == "as it is" else expected]


def test_in_a_body() -> None:
    """Also where the wait is said in the body, in another dialect than the vendor's."""
    world = World(CONFIG + "routing: {max-cooldown: 10m}\ndisable-cooling: true\n")
    body = b'{"contents":[{"parts":[{"text":"hi"}]}]}'
    connection = world.request("POST", "/v1beta/models/claude-local:generateContent", body=body)
    world.client.sent[0].respond_whole(429, ERROR, {"retry-after": ["99999999999"]})
    world.turn()
    assert connection.status == 429
    assert '"retryDelay":"600s"' in connection.body.decode().replace(" ", "")


@each("wait, told_not_to", [("30", False), ("60", False), ("61", True), ("500", True)])
def test_a_wait_that_no_client_is_to_sleep_through(wait: str, told_not_to: bool) -> None:
    """Some SDKs sleep within the call for as long as they are told: not to ask again is said to them, unless
    the vendor says what to do. Google's know no such thing.
    """
    for path, body in (
        ("/v1/messages", QUESTION),
        ("/v1/chat/completions", QUESTION),
        ("/v1/responses", b'{"model":"claude-local","input":"x"}'),
        ("/v1beta/models/claude-local:generateContent", b'{"contents":[{"parts":[{"text":"hi"}]}]}'),
    ):
        for said in ((), ("true",)):
            world = World(CONFIG + "disable-cooling: true\n")
            connection = world.request("POST", path, body=body)
            headers = {"retry-after": [wait], **({"x-should-retry": list(said)} if said else {})}
            world.client.sent[0].respond_whole(429, ERROR, headers)
            world.turn()
            assert connection.status == 429
            expected = list(said) or (["false"] if told_not_to and "v1beta" not in path else [])
            assert told(connection, "x-should-retry") == expected


def test_a_wait_for_accounts_that_cool_down() -> None:
    """The gateway's own refusals tell it, too."""
    world = World(CONFIG)
    world.request("POST", "/v1/messages", body=QUESTION)
    world.client.sent[0].respond_whole(429, ERROR, {"retry-after": ["300"]})
    world.turn()
    connection = world.request("POST", "/v1/messages", body=QUESTION)
    world.turn()
    assert connection.status == 429
    assert len(world.client.sent) == 1
    assert told(connection, "x-should-retry") == ["false"]
