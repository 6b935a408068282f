"""What a vendor sends that is no answer is never one for the client: battery of all clients and vendors."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.cases import each
from tests.interop.answers import (
    ANTHROPIC,
    BEGINNING,
    CHAT,
    CLIENT_KEY,
    CLIENTS,
    COMPLETIONS,
    END,
    ERROR,
    GEMINI,
    KEYS,
    PAGE,
    RESPONSES,
    VENDORS,
    WHOLE,
    config,
    error_of,
    nonsense,
    question,
    read_stream,
    text_of,
)
from tests.resources.harness import World

PAIRS = [(client, vendor) for client in CLIENTS for vendor in VENDORS]
pairs = pytest.mark.parametrize(("client", "vendor"), PAIRS)
shapes = each("stream", [False, True], ids=["whole", "stream"])
kinds = each("kind", nonsense(CHAT))

HTML = {"Content-Type": ["text/html"]}
JSON = {"Content-Type": ["application/json"]}
SSE = {"Content-Type": ["text/event-stream"]}


def spoken(client: str, vendor: str) -> str:
    """What the vendor is asked in: a compatible server knows the old completions, too."""
    return COMPLETIONS if (client, vendor) == (COMPLETIONS, CHAT) else vendor


class Talk:
    """One question, and the accounts' answers to it."""

    def __init__(self, client: str, vendor: str, *, stream: bool, accounts: int = 2) -> None:
        self.client, self.vendor, self.stream = client, spoken(client, vendor), stream
        self.world = World(config(vendor, accounts))
        self.connection = self.ask()

    def ask(self) -> Any:
        path, body = question(self.client, stream=self.stream)
        return self.world.request("POST", path, {}, body, key=CLIENT_KEY)

    @property
    def asked(self) -> list[str]:
        """The accounts that were asked, by their hosts."""
        return [sent.url.split("/")[2] for sent in self.world.client.sent]

    def answer(self, body: bytes, headers: dict[str, list[str]], status: int = 200) -> None:
        self.world.client.sent[-1].respond_whole(status, body, headers)
        self.world.turn()

    def answer_well(self) -> None:
        whole = b"".join(BEGINNING[self.vendor] + END[self.vendor]) if self.stream else WHOLE[self.vendor]
        self.answer(whole, SSE if self.stream else JSON)

    def check_answered(self) -> None:
        """The client got the answer, and nothing else."""
        assert self.connection.status == 200, self.connection.answer
        kind = self.connection.answer.partition(b"\r\n\r\n")[0].lower()
        if self.stream:
            assert b"content-type: text/event-stream" in kind
            assert read_stream(self.client, self.connection.body) == ("hello there", True, "")
            assert self.connection.ended_cleanly
        else:
            assert b"content-type: application/json" in kind
            assert text_of(self.client, self.connection.body) == "hello there"

    def check_refused(self, status: int = 502) -> str:
        """The client got an error of its dialect, whole and with its status; gives its message."""
        assert self.connection.status == status, self.connection.answer
        assert b"content-type: application/json" in self.connection.answer.lower()
        return error_of(self.client, self.connection.body)


@kinds
@shapes
@pairs
def test_the_next_account_is_asked(client: str, vendor: str, stream: bool, kind: str) -> None:
    """As long as nothing was sent, the next account serves; the one that failed rests meanwhile."""
    talk = Talk(client, vendor, stream=stream)
    talk.answer(nonsense(talk.vendor)[kind], HTML)
    assert talk.asked == ["one.test", "two.test"]
    talk.answer_well()
    talk.check_answered()
    talk.ask()
    assert talk.asked[2:] == ["two.test"], "it does not rest"


@kinds
@shapes
@pairs
def test_the_client_is_told(client: str, vendor: str, stream: bool, kind: str) -> None:
    """The only account's nonsense is a 502 in the client's dialect that says whose it was and how it began,
    without secrets and control characters.
    """
    talk = Talk(client, vendor, stream=stream, accounts=1)
    body = nonsense(talk.vendor)[kind]
    talk.answer(body, JSON)
    message = talk.check_refused()
    assert "http://one.test" in message
    assert KEYS[0] not in message
    assert "sk-secret" not in message
    assert message.isprintable()
    words = "Bad gateway of Example" if kind in ("html", "gzip-nonsense") else body[:20].decode("latin-1")
    if not kind.startswith("gzip-cut") and words.strip():
        assert words.strip() in message
    (event,) = talk.world.exchanges
    assert event["outcome"] == "upstream-error"


@shapes
@pairs
def test_an_error_of_status_200(client: str, vendor: str, stream: bool) -> None:
    """An error object is an error, whatever the status says: in the vendor's words, and another is asked."""
    talk = Talk(client, vendor, stream=stream)
    talk.answer(ERROR[talk.vendor], JSON)
    assert talk.asked == ["one.test", "two.test"]
    talk.answer_well()
    talk.check_answered()
    talk = Talk(client, vendor, stream=stream, accounts=1)
    talk.answer(ERROR[talk.vendor], JSON)
    assert "we are full today" in talk.check_refused(talk.connection.status)
    assert talk.connection.status >= 500


@shapes
@pairs
@each("declared", [False, True], ids=["undeclared", "declared"])
def test_gzip(client: str, vendor: str, stream: bool, declared: bool) -> None:
    """A body that is gzip is the answer, whether it says so or not, in however many pieces."""
    talk = Talk(client, vendor, stream=stream, accounts=1)
    plain = b"".join(BEGINNING[talk.vendor] + END[talk.vendor]) if stream else WHOLE[talk.vendor]
    body = talk.world.client.sent[-1].respond(
        200, {**(SSE if stream else JSON), **({"Content-Encoding": ["gzip"]} if declared else {})}
    )
    packed = gzip.compress(plain)
    for piece in (packed[:1], packed[1:2], packed[2:40], packed[40:]):
        body.data(piece)
        talk.world.turn()
    body.done()
    talk.world.turn()
    talk.check_answered()


@shapes
@pairs
@each("damage", ["broken", "cut", "tail", "not gzip"])
def test_gzip_that_is_broken(client: str, vendor: str, stream: bool, damage: str) -> None:
    """Gzip that is broken, cut or followed by something else is no answer."""
    talk = Talk(client, vendor, stream=stream)
    whole = gzip.compress(b"".join(BEGINNING[talk.vendor]) if stream else WHOLE[talk.vendor])
    body = {
        "broken": whole[:14] + b"\xff\xff\xff\xff" + whole[18:],
        "cut": whole[:-9],
        "tail": whole + b"<html>",
        "not gzip": PAGE,
    }[damage]
    talk.answer(body, {**JSON, "Content-Encoding": ["gzip"]})
    if talk.connection.answer:
        # Some events came whole before it broke.
        said, ended, error = read_stream(client, talk.connection.body)
        assert (said, ended, bool(error)) == ("hello ", False, True)
        assert not talk.connection.ended_cleanly
        return
    assert talk.asked == ["one.test", "two.test"]
    talk.answer_well()
    talk.check_answered()


@shapes
@pairs
@each("declared", [False, True], ids=["undeclared", "declared"])
def test_errors_as_gzip(client: str, vendor: str, stream: bool, declared: bool) -> None:
    """An error's own words come through compression, too; one that cannot be read keeps its status."""
    headers = {**JSON, **({"Content-Encoding": ["gzip"]} if declared else {})}
    talk = Talk(client, vendor, stream=stream, accounts=1)
    talk.answer(gzip.compress(ERROR[talk.vendor]), headers, 503)
    assert "we are full today" in talk.check_refused(talk.connection.status)
    talk = Talk(client, vendor, stream=stream, accounts=1)
    talk.answer(gzip.compress(ERROR[talk.vendor])[:-20], headers, 429)
    talk.check_refused(429)


@shapes
@pairs
@each("status", [401, 429, 500])
@each("kind", ["empty", "html", "half", "array", "number", "text"])
def test_errors_that_say_nothing(client: str, vendor: str, stream: bool, status: int, kind: str) -> None:
    """An error's status comes with an error of the client's dialect, whatever stands in its body; a
    refusal of the account's key becomes the gateway's own.
    """
    talk = Talk(client, vendor, stream=stream, accounts=1)
    body = ERROR[talk.vendor][:-5] if kind == "half" else nonsense(talk.vendor)[kind]
    talk.answer(body, HTML, status)
    talk.check_refused(502 if status == 401 else status)


# -------------------------------------------------------------------------------- in mid-stream

MIDDLES: dict[str, bytes] = {
    "no JSON": b"data: {this is no JSON}\n\n",
    "words": b"data: Internal Server Error\n\n",
    "half an event": b'data: {"id":"c1","choices":[{"index":0,"de\n\n',
    "half a delta": b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"del\n\n',
    "a page": PAGE + b"\n\n",
    "a page without a blank line": b"<html><body>Bad gateway</body></html>\n",
    "a line of words": b"upstream connect error\n\n",
    "bare JSON": b'{"hello":"there"}\n\n',
    "an array": b"data: [1,2,3]\n\n",
    "a number": b"data: 42\n\n",
    "an unknown object": b'data: {"hello":{"there":1}}\n\n',
    "an empty object": b"data: {}\n\n",
    "an error without its member": b'data: {"object":"error","message":"CUDA out of memory.","code":500}\n\n',
}


@each("middle", MIDDLES)
@each("reads", ["one read each", "one read", "bytes"])
@pairs
def test_in_mid_stream(client: str, vendor: str, middle: str, reads: str) -> None:
    """Nonsense amid a stream is an error for the client and no end, even if the stream goes on to its end."""
    talk = Talk(client, vendor, stream=True, accounts=1)
    body = talk.world.client.sent[-1].respond(200, SSE)
    body.data(b"".join(BEGINNING[talk.vendor]))
    talk.world.turn()
    pieces = [MIDDLES[middle], *END[talk.vendor]]
    if reads == "one read":
        pieces = [b"".join(pieces)]
    elif reads == "bytes":
        joined = b"".join(pieces)
        pieces = [joined[at : at + 7] for at in range(0, len(joined), 7)]
    for piece in pieces:
        if body.state == "stopped":
            break
        body.data(piece)
        talk.world.turn()
    if body.state != "stopped":
        body.done()
        talk.world.turn()
    said, ended, error = read_stream(client, talk.connection.body)
    assert said == "hello "
    assert error
    assert not ended
    if "without its member" in middle and talk.vendor not in (ANTHROPIC, GEMINI):
        assert "CUDA out of memory." in error
    (event,) = talk.world.exchanges
    assert event["outcome"] in ("broken-off", "completed")


@each("left", [b'data: {"id":"c1","cho', b"event: mess", b"<html>", b'{"error":'])
@each("place", ["in the middle", "after the end of the text"])
@pairs
def test_half_a_line_at_the_end(client: str, vendor: str, left: bytes, place: str) -> None:
    """A stream that ends within an event was cut, although HTTP says that it is whole."""
    talk = Talk(client, vendor, stream=True, accounts=1)
    events = list(BEGINNING[talk.vendor])
    if place != "in the middle":
        # Without what alone proves the end; Gemini has no such event, so it may say all.
        events += END[talk.vendor] if talk.vendor == GEMINI else END[talk.vendor][:-1]
    body = talk.world.client.sent[-1].respond(200, SSE)
    body.data(b"".join(events))
    talk.world.turn()
    body.data(left)
    body.done()
    talk.world.turn()
    _, ended, error = read_stream(client, talk.connection.body)
    assert error
    # A client of the same dialect has had the event that says the reason of the end.
    assert not ended or (client, talk.vendor) == (GEMINI, GEMINI)
    assert not talk.connection.ended_cleanly


@pairs
def test_what_is_new_is_let_through(client: str, vendor: str) -> None:
    """Events of kinds that nobody knows yet, new fields and comments break nothing."""
    talk = Talk(client, vendor, stream=True, accounts=1)
    new = {
        ANTHROPIC: b'event: weather\ndata: {"type":"weather","sun":true}\n\n',
        RESPONSES: b'event: response.weather\ndata: {"type":"response.weather","sun":true}\n\n',
        CHAT: b'data: {"type":"ping"}\n\n',
        COMPLETIONS: b'data: {"type":"ping"}\n\n',
        GEMINI: b'data: {"usageMetadata":{"promptTokenCount":3},"sun":true}\n\n',
    }[talk.vendor]
    first, *rest = BEGINNING[talk.vendor]
    events = [first, new, b": a comment\n\n", b"retry: 3000\n\n", *rest, new, *END[talk.vendor]]
    body = talk.world.client.sent[-1].respond(200, SSE)
    for event in events:
        body.data(event)
        talk.world.turn()
    body.done()
    talk.world.turn()
    said, ended, error = read_stream(client, talk.connection.body)
    assert (said, ended, error) == ("hello there", True, "")
    assert talk.connection.ended_cleanly


# ----------------------------------------------------------------------------- the other shape


@each("headers", [JSON, SSE, HTML], ids=["json", "sse", "html"])
@pairs
def test_a_whole_answer_for_a_stream(client: str, vendor: str, headers: dict[str, list[str]]) -> None:
    """A server that does not stream is read all the same: its answer comes as the stream that it would be."""
    talk = Talk(client, vendor, stream=True, accounts=1)
    body = talk.world.client.sent[-1].respond(200, headers)
    whole = b"\xef\xbb\xbf \n" + WHOLE[talk.vendor] + b"\n"
    for piece in (whole[:2], whole[2:30], whole[30:]):
        body.data(piece)
        talk.world.turn()
    body.done()
    talk.world.turn()
    talk.check_answered()
    (event,) = talk.world.exchanges
    assert event["outcome"] == "completed"
    if talk.vendor not in (COMPLETIONS, GEMINI):
        assert event["input"] == 3


@each("headers", [JSON, SSE], ids=["json", "sse"])
@pairs
def test_a_stream_for_a_whole_answer(client: str, vendor: str, headers: dict[str, list[str]]) -> None:
    """A server that streams though nobody asked for it is read all the same; half a stream is no answer."""
    talk = Talk(client, vendor, stream=False, accounts=1)
    talk.answer(b"".join(BEGINNING[talk.vendor] + END[talk.vendor]), headers)
    talk.check_answered()
    talk = Talk(client, vendor, stream=False)
    talk.answer(b"".join(BEGINNING[talk.vendor]), headers)
    assert talk.asked == ["one.test", "two.test"]
    talk.answer_well()
    talk.check_answered()


@pytest.mark.parametrize("asked", [False, True])
def test_usage_is_told_to_whom_it_was_asked_for(asked: bool) -> None:
    """A whole answer for a chat's stream brings no chunk without choices to a client that wants none."""
    world = World(config(CHAT, 1))
    more = b',"stream_options":{"include_usage":true}' if asked else b""
    body = b'{"model":"m","stream":true,"messages":[]' + more + b"}"
    connection = world.request("POST", "/v1/chat/completions", {}, body, key=CLIENT_KEY)
    world.client.sent[-1].respond_whole(200, WHOLE[CHAT], JSON)
    world.turn()
    assert (b'"usage":{' in connection.body) == asked
    assert (b'"choices":[]' in connection.body) == asked


# ------------------------------------------------------------------------- all else that is whole

EMBED = b'{"model":"m","input":"hi","content":{"parts":[{"text":"hi"}]}}'
OTHERS = {
    "embeddings": (CHAT, "/v1/embeddings", EMBED, b'{"object":"list","data":[{"embedding":[0.1]}]}'),
    "embedContent": (GEMINI, "/v1beta/models/m:embedContent", EMBED, b'{"embedding":{"values":[0.1]}}'),
    "predict": (GEMINI, "/v1beta/models/m:predict", EMBED, b'{"predictions":[]}'),
}


@each("kind", [kind for kind in nonsense(CHAT) if kind not in ("strange", "nothing")])
@pytest.mark.parametrize("call", OTHERS)
def test_other_calls(call: str, kind: str) -> None:
    """Embeddings and the vendors' other calls likewise: no answer is a 502, and for the next account."""
    dialect, path, body, good = OTHERS[call]
    for accounts in (1, 2):
        world = World(config(dialect, accounts))
        connection = world.request("POST", path, {}, body, key=CLIENT_KEY)
        bad = {**nonsense(dialect), "half": good[:-3], "tail": good + b"<html>", "twice": good * 2}[kind]
        world.client.sent[-1].respond_whole(200, bad, JSON)
        if accounts == 1:
            assert connection.status == 502
            assert "http://one.test" in error_of(dialect, connection.body)
        else:
            world.client.sent[-1].respond_whole(200, good, JSON)
            assert (connection.status, connection.body) == (200, good)


def test_an_embedding_is_one() -> None:
    """An object without any embedding is none; an error of status 200 is told in its own words."""
    for told, words in ((b'{"object":"list"}', "embeddings"), (ERROR[CHAT], "we are full today")):
        world = World(config(CHAT, 1))
        connection = world.request("POST", "/v1/embeddings", {}, EMBED, key=CLIENT_KEY)
        world.client.sent[-1].respond_whole(200, told, JSON)
        assert connection.status == 502
        assert words in error_of(CHAT, connection.body)


# ------------------------------------------------------------------------------ counting tokens

COUNTS = {
    ANTHROPIC: (
        "/v1/messages/count_tokens",
        b'{"model":"m","messages":[{"role":"user","content":"hello there"}]}',
        "input_tokens",
    ),
    RESPONSES: ("/v1/responses/input_tokens", b'{"model":"m","input":"hello there"}', "input_tokens"),
    GEMINI: (
        "/v1beta/models/m:countTokens",
        b'{"contents":[{"role":"user","parts":[{"text":"hello there"}]}]}',
        "totalTokens",
    ),
}
NUMBERS = {
    ANTHROPIC: b'{"input_tokens":77}',
    RESPONSES: b'{"object":"response.input_tokens","input_tokens":77}',
    GEMINI: b'{"totalTokens":77}',
}
counting = pytest.mark.parametrize(
    ("client", "vendor"), [(client, vendor) for client in COUNTS for vendor in (*COUNTS, CHAT)]
)


def count(client: str, connection: Any) -> tuple[int, bool]:
    """The number that the client was told, and whether it says that it is an estimate."""
    assert connection.status == 200, connection.answer
    head = connection.answer.partition(b"\r\n\r\n")[0]
    number = json.loads(connection.body)[COUNTS[client][2]]
    assert isinstance(number, int)
    return number, b"X-Ampproxy-Estimate: tokens" in head


@counting
@each("accounts", [1, 2])
@each("answer", [404, 405, 501, *nonsense(CHAT), "negative", "no number"])
def test_no_count_is_estimated(client: str, vendor: str, accounts: int, answer: Any) -> None:
    """Where no account has a usable count it is our estimate, and says so; also while they rest for it."""
    path, body, _ = COUNTS[client]
    world = World(config(vendor, accounts))
    odd = {"negative": b'{"input_tokens":-1,"totalTokens":-1}', "no number": b'{"input_tokens":"many"}'}
    for _ in range(3):
        connection = world.request("POST", path, {}, body, key=CLIENT_KEY)
        while not connection.answer:
            if isinstance(answer, int):
                world.client.sent[-1].respond_whole(answer, b"<html>Not here</html>", HTML)
            else:
                world.client.sent[-1].respond_whole(200, (nonsense(vendor) | odd)[answer], JSON)
        number, estimated = count(client, connection)
        assert estimated
        assert 3 <= number <= 20
    assert world.exchanges[0]["outcome"] == "completed"


@counting
def test_a_count_is_told(client: str, vendor: str) -> None:
    """A vendor's own number is told as it is; a question that rests for nothing is served besides."""
    if vendor == CHAT:
        pytest.skip("it has no call that counts")
    path, body, _ = COUNTS[client]
    world = World(config(vendor))
    connection = world.request("POST", path, {}, body, key=CLIENT_KEY)
    world.client.sent[-1].respond_whole(404, b"", HTML)
    world.client.sent[-1].respond_whole(200, NUMBERS[vendor], JSON)
    assert count(client, connection) == (77, False)
    talk_path, talk_body = question(client, stream=False)
    world.request("POST", talk_path, {}, talk_body, key=CLIENT_KEY)
    assert "one.test" in world.client.sent[-1].url, "it rests for more than counting"


@pytest.mark.parametrize("status", [401, 429, 500])
def test_other_failures_of_counting_are_told(status: int) -> None:
    """A key that is refused, a limit and a breakdown are no lack of a count."""
    path, body, _ = COUNTS[ANTHROPIC]
    world = World(config(ANTHROPIC, 1))
    connection = world.request("POST", path, {}, body, key=CLIENT_KEY)
    world.client.sent[-1].respond_whole(status, b"{}", JSON)
    assert connection.status == (502 if status == 401 else status)
