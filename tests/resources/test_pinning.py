"""What a vendor keeps for one account: requests that refer to it go there, and nowhere else."""

# ruff: noqa: E501  (what vendors say is quoted whole)

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ampproxy.credentials.pins import NAME
from ampproxy.dialects.proof import wrap_signature
from ampproxy.model.parts import Signature
from tests.resources.harness import CLIENT_KEY, Connection, World

CONFIG = f"""
api-keys: ["{CLIENT_KEY}"]
codex-api-key:
  - {{api-key: key-a, base-url: "http://a.test/v1", models: [{{name: gpt-x}}]}}
  - {{api-key: key-b, base-url: "http://b.test/v1", models: [{{name: gpt-x}}]}}
claude-api-key:
  - {{api-key: key-c, base-url: "http://c.test", models: [{{name: claude-x}}]}}
  - {{api-key: key-d, base-url: "http://d.test", models: [{{name: claude-x}}]}}
gemini-api-key:
  - {{api-key: key-e, base-url: "http://e.test", models: [{{name: gemini-x}}]}}
  - {{api-key: key-f, base-url: "http://f.test", models: [{{name: gemini-x}}]}}
"""
WITHOUT_B = "\n".join(line for line in CONFIG.splitlines() if "key-b" not in line)
JSON = {"content-type": ["application/json"]}


def response(id: str, **more: Any) -> bytes:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}
    told = {"id": id, "object": "response", "created_at": 1, "model": "gpt-x", "status": "completed"}
    return json.dumps({**told, "output": [message], **more}).encode()


def stream(id: str) -> bytes:
    done = response(id).decode()
    return (
        f'event: response.created\ndata: {{"type":"response.created","response":{{"id":"{id}"}}}}\n\n'
        f'event: response.completed\ndata: {{"type":"response.completed","response":{done}}}\n\n'
    ).encode()


def message(id: str) -> bytes:
    told = {"id": id, "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn"}
    usage = {"input_tokens": 1, "output_tokens": 1}
    return json.dumps({**told, "content": [{"type": "text", "text": "yes"}], "usage": usage}).encode()


GEMINI = b'{"candidates":[{"content":{"role":"model","parts":[{"text":"yes"}]},"finishReason":"STOP"}],"modelVersion":"x"}'


class Talk:
    """Questions, each a conversation of its own, so that only pins lead them."""

    def __init__(self, config: str = CONFIG, **arguments: Any) -> None:
        self.world = World(config, **arguments)
        self._count = 0

    def ask(self, path: str = "/v1/responses", **body: Any) -> Connection:
        self._count += 1
        headers = {"X-Session-ID": f"s{self._count}"}
        return self.world.request("POST", path, headers=headers, body=json.dumps(body).encode())

    def respond(self, **more: Any) -> Connection:
        return self.ask(model="gpt-x", input=f"hi {self._count}", **more)

    def answer(self, body: bytes, status: int = 200) -> str:
        """Answer the last request; gives the host that got it."""
        sent = self.world.client.sent[-1]
        sent.respond_whole(status, body, JSON)
        self.world.turn()
        return self.host

    @property
    def host(self) -> str:
        return str(self.world.client.sent[-1].url).split("/")[2]

    @property
    def sent(self) -> int:
        return len(self.world.client.sent)


def test_previous_response() -> None:
    """The follow-up goes to the account that issued the id, however often others would have their turn."""
    talk = Talk()
    owners = {}
    for number in range(4):
        talk.respond()
        owners[f"resp_{number}"] = talk.answer(response(f"resp_{number}"))
    assert set(owners.values()) == {"a.test", "b.test"}
    for number, (id, host) in enumerate([*owners.items()] * 3):
        talk.respond(previous_response_id=id)
        assert talk.host == host
        # What the follow-up issues is of that account, too.
        talk.answer(response(f"resp_then_{number}"))
        talk.respond(previous_response_id=f"resp_then_{number}")
        assert talk.answer(response("resp_x")) == host


def test_streamed() -> None:
    """The id is known as soon as the stream has begun: a client may go on at its last event."""
    talk = Talk()
    for number in range(3):
        talk.respond(stream=True)
        host = talk.host
        body = talk.world.client.sent[-1].respond(200, {"content-type": ["text/event-stream"]})
        body.data(stream(f"resp_{number}"))
        talk.world.turn()
        for _ in range(2):
            talk.respond(previous_response_id=f"resp_{number}")
            assert talk.answer(response("resp_other")) == host
        body.done()


@pytest.mark.parametrize("streamed", [False, True])
def test_containers_of_tools(streamed: bool) -> None:
    """What a tool of the vendor's has made is found wherever it stands in the answer, also parted between two
    pieces of a stream.
    """
    talk = Talk()
    tools = [{"type": "code_execution_20250825", "name": "code_execution"}]
    hi = [{"role": "user", "content": "hi"}]
    body = {"model": "claude-x", "max_tokens": 9, "messages": hi}
    padding = [{"type": "text", "text": "x" * 5000}]
    talk.ask("/v1/messages", **body, tools=tools, stream=streamed)
    host = talk.host
    told = {
        **json.loads(message("msg_1")),
        "content": padding,
        "container": {"id": "container_1", "expires_at": "x"},
    }
    if streamed:
        start = {"type": "message_start", "message": {**json.loads(message("msg_1")), "content": []}}
        delta = {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "container": told["container"]},
            "usage": {"output_tokens": 1},
        }
        events = b"".join(
            f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            for event in (start, delta, {"type": "message_stop"})
        )
        cut = events.index(b"container_1") + 5
        answer = talk.world.client.sent[-1].respond(200, {"content-type": ["text/event-stream"]})
        for piece in (events[:cut], events[cut:]):
            answer.data(piece)
            talk.world.turn()
        answer.done()
        talk.world.turn()
    else:
        talk.answer(json.dumps(told).encode())
    for _ in range(3):
        talk.ask("/v1/messages", **body, container="container_1")
        assert talk.answer(message("msg_2")) == host


def test_unstored() -> None:
    """Of a response that is not stored nothing is remembered."""
    talk = Talk()
    talk.respond(store=False)
    talk.answer(response("resp_1", store=False))
    assert talk.world.generation.runtime.pins.things == 0


@pytest.mark.parametrize(
    "reference",
    [
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
        {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
    ],
)
def test_what_an_account_took_is_its_own(reference: dict[str, Any]) -> None:
    """What was made elsewhere is known to be of the account that took it."""
    talk = Talk()
    talk.ask(model="gpt-x", **{"input": "hi", **reference})
    host = talk.answer(response("resp_1"))
    for _ in range(3):
        talk.ask(model="gpt-x", **{"input": "hi", **reference})
        assert talk.answer(response("resp_2")) == host


def test_other_dialects() -> None:
    """Threads, containers and files of Anthropic, cached contents and files of Google."""
    talk = Talk()
    hi = [{"role": "user", "content": "hi"}]
    for thread, follow in (
        ({"type": "create"}, {"thread": {"type": "continue", "previous_message_id": "msg_1"}}),
        (None, {"container": "container_1"}),
        (
            None,
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}],
                    }
                ]
            },
        ),
    ):
        body = {"model": "claude-x", "max_tokens": 9, "messages": hi}
        talk.ask("/v1/messages", **body, **({"thread": thread} if thread else {}))
        host = talk.answer(message("msg_1"))
        if not thread:
            talk.ask("/v1/messages", **{**body, **follow})
            host = talk.answer(message("msg_x"))
        for _ in range(3):
            talk.ask("/v1/messages", **{**body, **follow})
            assert talk.answer(message("msg_2")) == host
    for follow in (
        {"cachedContent": "cachedContents/1"},
        {
            "contents": [
                {
                    "parts": [
                        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1"}}
                    ]
                }
            ]
        },
    ):
        body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], **follow}
        talk.ask("/v1beta/models/gemini-x:generateContent", **body)
        host = talk.answer(GEMINI)
        for _ in range(3):
            talk.ask("/v1beta/models/gemini-x:generateContent", **body)
            assert talk.answer(GEMINI) == host


def test_arguments_of_tools_are_the_clients_own() -> None:
    """A tool may have an argument that is called like a member of the vendor's."""
    talk = Talk()
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"file_id": "file_1"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "x"}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    talk.ask("/v1/messages", model="claude-x", max_tokens=9, messages=turns)
    talk.answer(message("msg_1"))
    assert talk.world.generation.runtime.pins.things == 0


def pinned(talk: Talk, host: str = "b.test") -> None:
    """Have the account at a host issue ``resp_1``."""
    while True:
        talk.respond()
        if talk.answer(response("resp_0" if talk.host != host else "resp_1")) == host:
            return


def test_cooldown() -> None:
    """Where that account is in cooldown no other is asked; the client hears which it is, and when it is back."""
    talk = Talk()
    pinned(talk)
    talk.respond(previous_response_id="resp_1")
    talk.world.client.sent[-1].respond_whole(
        429, b'{"error":{"message":"slow down"}}', {**JSON, "retry-after": ["600"]}
    )
    talk.world.turn()
    before = talk.sent
    connection = talk.respond(previous_response_id="resp_1")
    assert talk.sent == before
    assert connection.status == 429
    told = json.loads(connection.body)["error"]["message"]
    assert "resp_1 is stored only at codex-api-key[1]: no other account was tried" in told
    assert "600 s" in told or "10m" in told or "10 min" in told
    assert b"Retry-After: 600" in connection.answer
    # Others go on to the other account.
    talk.respond()
    assert talk.answer(response("resp_2")) == "a.test"


def test_failure_there_is_no_reason_to_go_elsewhere() -> None:
    """An account that fails is not followed by another that cannot know."""
    talk = Talk()
    pinned(talk)
    connection = talk.respond(previous_response_id="resp_1")
    assert talk.answer(b"{}", 500) == "b.test"
    assert connection.status == 500
    assert talk.host == "b.test"


def test_amp_is_no_other_account_either() -> None:
    """Not even where all accounts are in cooldown, and the owner lets such requests fall back to Amp."""
    amp = "ampcode: {upstream-url: 'https://amp.test', upstream-api-key: amp-key, fallback-when-exhausted: true}\n"
    talk = Talk(CONFIG + amp)
    pinned(talk)
    path = "/api/provider/openai/v1/responses"
    hosts = []
    for follow in ({"previous_response_id": "resp_1"}, {}):
        talk.ask(path, model="gpt-x", input="hi", **follow)
        hosts.append(talk.host)
        talk.world.client.sent[-1].respond_whole(429, b"{}", {**JSON, "retry-after": ["600"]})
        talk.world.turn()
    assert hosts == ["b.test", "a.test"]
    # What refers to nothing goes to Amp by now.
    assert talk.host == "amp.test"
    before = talk.sent
    connection = talk.ask(path, model="gpt-x", input="hi", previous_response_id="resp_1")
    assert talk.sent == before
    assert connection.status == 429
    assert b"resp_1 is stored only at codex-api-key[1]" in connection.body


def test_gone() -> None:
    """Where that account is no longer configured the client hears what its vendor would say, and why."""
    talk = Talk()
    pinned(talk)
    talk.world.use(WITHOUT_B)
    before = talk.sent
    connection = talk.respond(previous_response_id="resp_1")
    assert talk.sent == before
    assert connection.status == 400
    error = json.loads(connection.body)["error"]
    assert error["code"] == "previous_response_not_found"
    assert error["param"] == "previous_response_id"
    assert "no longer configured" in error["message"]


def test_thread_is_gone() -> None:
    """Anthropic's SDK replays a thread where the details of the error say that it is not found."""
    talk = Talk()
    while True:
        talk.ask("/v1/messages", model="claude-x", max_tokens=9, messages=[], thread={"type": "create"})
        if talk.answer(message("msg_1")) == "d.test":
            break
    talk.world.use("\n".join(line for line in CONFIG.splitlines() if "key-d" not in line))
    connection = talk.ask(
        "/v1/messages",
        model="claude-x",
        max_tokens=9,
        messages=[],
        thread={"type": "continue", "previous_message_id": "msg_1"},
    )
    assert connection.status == 404
    error = json.loads(connection.body)["error"]
    assert error["type"] == "not_found_error"
    assert error["details"] == {"error_code": "thread_not_found"}


def test_two_owners() -> None:
    """No account has what two of them keep."""
    talk = Talk()
    for number in range(2):
        talk.respond()
        talk.answer(response(f"resp_{number}"))
    parts = [{"type": "input_file", "file_id": "file-1"}]
    talk.ask(model="gpt-x", input=[{"role": "user", "content": parts}], previous_response_id="resp_0")
    talk.answer(response("resp_2"))
    before = talk.sent
    connection = talk.ask(
        model="gpt-x", input=[{"role": "user", "content": parts}], previous_response_id="resp_1"
    )
    assert connection.status == 400
    assert b"different accounts" in connection.body
    assert talk.sent == before


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/v1/responses", {"model": "gpt-x", "input": "hi", "previous_response_id": "resp_9"}, 400,
         {"error": {"message": "Previous response with id 'resp_9' not found.", "code": "previous_response_not_found"}}),
        ("/v1/responses", {"model": "gpt-x", "input": "hi", "conversation": "conv_9"}, 404,
         {"error": {"message": "Conversation with id 'conv_9' not found.", "code": None}}),
        ("/v1/responses", {"model": "gpt-x", "input": "hi"}, 404,
         {"error": {"message": "No file found with id file-9", "code": None}}),
        ("/v1/responses", {"model": "gpt-x", "input": "hi"}, 404,
         {"error": {"message": "No thread found with id 'thread_1'.", "code": None}}),
        ("/v1/messages", {"model": "claude-x", "max_tokens": 9, "messages": []}, 404,
         {"type": "error", "error": {"type": "not_found_error", "message": "Not Found",
                                     "details": {"error_code": "thread_not_found"}}}),
    ],
)  # fmt: skip
def test_not_found_is_the_clients_business(path: str, body: Any, status: int, error: Any) -> None:
    """The answer reaches the client as it is; no account is in cooldown for it, and no other is asked."""
    talk = Talk()
    connection = talk.ask(path, **body)
    told = json.dumps(error).encode()
    talk.answer(told, status)
    assert talk.sent == 1
    assert connection.status == status
    assert connection.body == told
    assert talk.world.generation.pool.state.begun == {}


def test_survives_a_restart(tmp_path: Path) -> None:
    """The next process knows it, from a file of the owner's alone that holds no id."""
    talk = Talk(state=tmp_path)
    pinned(talk)
    talk.world.clock.advance(30)
    file = tmp_path / NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"resp_" not in file.read_bytes()
    assert b"key-b" not in file.read_bytes()
    again = Talk(state=tmp_path)
    for _ in range(3):
        again.respond(previous_response_id="resp_1")
        assert again.answer(response("resp_2")) == "b.test"


def test_bounded_and_ends() -> None:
    """The oldest make room, what is too old is forgotten, and 0 switches it off."""
    talk = Talk(CONFIG + "routing: {max-pins: 2, pin-ttl: 1h}\n")
    pins = talk.world.generation.runtime.pins
    for number in range(5):
        talk.respond()
        talk.answer(response(f"resp_{number}"))
    assert [pins.owner(f"resp_{number}") is not None for number in range(5)] == [False] * 3 + [True] * 2
    talk.world.clock.advance(3601)
    assert pins.owner("resp_4") is None
    talk = Talk(CONFIG + "routing: {max-pins: 0}\n")
    talk.respond()
    talk.answer(response("resp_0"))
    assert talk.world.generation.runtime.pins.things == 0


REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "proof-of-a"}
HISTORY = [
    {"role": "user", "content": "hi"},
    REASONING,
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "go on"},
]
UNVERIFIED = b'{"error":{"message":"The encrypted content gAAA...DQ== could not be verified.","type":"invalid_request_error","param":null,"code":"invalid_encrypted_content"}}'


def think(talk: Talk, *more: Any) -> Connection:
    body = {"model": "gpt-x", "input": [*HISTORY, *more], "store": False}
    headers = {"X-Session-ID": "one", "X-Ampproxy-Losses": "1"}
    return talk.world.request("POST", "/v1/responses", headers=headers, body=json.dumps(body).encode())


def proofs(talk: Talk) -> list[str]:
    sent = json.loads(talk.world.client.sent[-1].body)
    return [item["encrypted_content"] for item in sent["input"] if item.get("type") == "reasoning"]


def test_proofs_stay_with_their_account() -> None:
    """When a conversation moves to another account the thinking that only the first can read is left out and
    declared, then and later; what the second issued stays; and when it is back, the first gets its own.
    """
    talk = Talk()
    think(talk)
    first = talk.host
    assert proofs(talk) == ["proof-of-a"]
    talk.world.client.sent[-1].respond_whole(429, b"{}", {**JSON, "retry-after": ["100"]})
    talk.world.turn()
    assert talk.host != first
    assert proofs(talk) == []
    second = talk.answer(response("resp_1"))
    own = {**REASONING, "id": "rs_2", "encrypted_content": "proof-of-b"}
    connection = think(talk, own, {"role": "user", "content": "more"})
    assert talk.host == second
    assert proofs(talk) == ["proof-of-b"]
    talk.answer(response("resp_2"))
    assert b"X-Ampproxy-Losses: foreign_proof;input[1]" in connection.answer
    talk.world.clock.advance(101)
    think(talk, own, {"role": "user", "content": "more"})
    talk.world.client.sent[-1].respond_whole(429, b"{}", {**JSON, "retry-after": ["100"]})
    talk.world.turn()
    assert talk.host == first
    assert proofs(talk) == ["proof-of-a"]


def test_refused_proofs() -> None:
    """Where nobody knows whose they are, the vendor's refusal tells: the request is repeated once without them."""
    talk = Talk()
    connection = think(talk)
    host = talk.answer(UNVERIFIED, 400)
    assert talk.host == host
    assert talk.sent == 2
    assert proofs(talk) == []
    talk.answer(response("resp_1"))
    assert connection.status == 200
    think(talk)
    assert talk.sent == 3
    assert proofs(talk) == []
    talk.answer(UNVERIFIED, 400)
    assert talk.sent == 3


def test_refused_signatures() -> None:
    """Likewise Claude's signatures; a turn that held nothing but thinking is left out."""
    talk = Talk()
    thought = {"type": "thinking", "thinking": "t", "signature": "sig"}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [thought]},
        {"role": "user", "content": "go on"},
    ]
    connection = talk.ask("/v1/messages", model="claude-x", max_tokens=9, messages=turns)
    words = "messages.1.content.0: Invalid `signature` in `thinking` block"
    talk.answer(
        json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": words}}).encode(),
        400,
    )
    assert talk.sent == 2
    sent = json.loads(talk.world.client.sent[-1].body)["messages"]
    assert [turn["content"] for turn in sent] == ["hi", [{"type": "text", "text": "a"}], "go on"]
    talk.answer(message("msg_1"))
    assert connection.status == 200


def test_proofs_of_translated_requests() -> None:
    """A client of another dialect carries them in its own field; they stay with their account all the same."""
    talk = Talk()
    signature = wrap_signature("anthropic", Signature("openai-responses", "gAAAproof", "rs_1"))
    turns = [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": signature},
                {"type": "text", "text": "a"},
            ],
        },
        {"role": "user", "content": "go on"},
    ]
    talk.ask("/v1/messages", model="gpt-x", max_tokens=99, thinking={"type": "adaptive"}, messages=turns)
    assert proofs(talk) == ["gAAAproof"]
    talk.world.client.sent[-1].respond_whole(429, b"{}", {**JSON, "retry-after": ["100"]})
    talk.world.turn()
    assert len({str(sent.url) for sent in talk.world.client.sent}) == 2
    assert proofs(talk) == []
