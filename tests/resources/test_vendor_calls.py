"""What vendors have beside their models: files, batches, pictures, speech, stored answers, interactions."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from ampproxy.ledger.entry import entry_of, is_kept
from tests.resources.harness import CLIENT_KEY, Connection, Sent, World

CONFIG = f"""
api-keys: ["{CLIENT_KEY}"]
codex-api-key:
  - api-key: account-key-a
    base-url: "http://a.test/v1"
    models: [&x {{name: gpt-x}}, {{name: gpt-image-2, alias: painter}}]
  - {{api-key: account-key-b, base-url: "http://b.test/v1", models: [{{name: gpt-x}}]}}
claude-api-key:
  - {{api-key: account-key-c, base-url: "http://c.test", models: [{{name: claude-x}}]}}
gemini-api-key:
  - {{api-key: account-key-e, base-url: "http://e.test", models: [{{name: gemini-x}}]}}
  - {{api-key: account-key-f, base-url: "http://f.test", models: [{{name: gemini-x}}]}}
openai-compatibility:
  - name: local
    base-url: http://l.test/v1
    api-key-entries: [{{api-key: account-key-l}}]
    models: [{{name: kokoro, alias: speaker}}]
"""
JSON = {"Content-Type": ["application/json"]}
ANTHROPIC = {"anthropic-version": "2023-06-01"}
GOOGLE = {"Authorization": "", "x-goog-api-key": CLIENT_KEY}


def call(
    world: World, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **more: Any
) -> Connection:
    """Make a call, of JSON unless its headers say otherwise."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
    connection = world.request(method, path, headers, body, **more)
    world.turn()
    return connection


def answer(
    world: World, body: Any = None, status: int = 200, headers: dict[str, list[str]] | None = None
) -> Sent:
    sent = world.client.sent[-1]
    text = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    sent.respond_whole(status, text, {**JSON, **(headers or {})})
    world.turn()
    return sent


def host(world: World) -> str:
    return str(world.client.sent[-1].url.split("/")[2])


def uploaded(world: World, id_: str = "file-1") -> Connection:
    form = b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--B--\r\n'
    connection = call(world, "POST", "/v1/files", form, {"Content-Type": "multipart/form-data; boundary=B"})
    answer(world, {"id": id_, "object": "file"})
    return connection


#: Method, path, headers -> where it goes.
PLAIN = [
    ("GET", "/v1/files", {}, "GET http://a.test/v1/files"),
    ("GET", "/v1/files?limit=3&after=file-2", {}, "GET http://a.test/v1/files?limit=3&after=file-2"),
    ("GET", "/files", {}, "GET http://a.test/v1/files"),
    ("GET", "/v1/v1/batches", {}, "GET http://a.test/v1/batches"),
    ("POST", "/v1/conversations", {}, "POST http://a.test/v1/conversations"),
    ("GET", "/v1/vector_stores", {}, "GET http://a.test/v1/vector_stores"),
    ("POST", "/v1/moderations", {}, "POST http://a.test/v1/moderations"),
    ("GET", "/v1/files", ANTHROPIC, "GET http://c.test/v1/files"),
    ("GET", "/v1/messages/batches/msgbatch_1", {}, "GET http://c.test/v1/messages/batches/msgbatch_1"),
    ("POST", "/v1/messages/batches", ANTHROPIC, "POST http://c.test/v1/messages/batches"),
    ("GET", "/v1beta/files?pageSize=2", GOOGLE, "GET http://e.test/v1beta/files?pageSize=2"),
    ("GET", "/v1/files", GOOGLE, "GET http://e.test/v1beta/files"),
    ("GET", "/v1beta/cachedContents", GOOGLE, "GET http://e.test/v1beta/cachedContents"),
    ("POST", "/v1beta/interactions", GOOGLE, "POST http://e.test/v1beta/interactions"),
    ("POST", "/upload/v1beta/files", GOOGLE, "POST http://e.test/upload/v1beta/files"),
]


@pytest.mark.parametrize(("method", "path", "headers", "sent"), PLAIN)
def test_where_a_call_goes(method: str, path: str, headers: dict[str, str], sent: str) -> None:
    """To an account of the vendor whose call it is, with that account's key and without the client's."""
    world = World(CONFIG)
    body = {"input": "hi"} if method == "POST" else None
    connection = call(world, method, path, body, headers)
    out = answer(world, {"object": "list", "data": []})
    assert f"{out.method} {out.url}" == sent
    assert connection.status == 200
    assert json.loads(connection.body) == {"object": "list", "data": []}
    values = [value for _, found in out.headers.getAllRawHeaders() for value in found]
    assert not any(CLIENT_KEY.encode() in value for value in values)
    assert any(b"account-key-" in value for value in values)
    assert body is None or json.loads(out.body) == body


def test_what_it_is_called_in_the_log() -> None:
    """A call has a kind, an account, and no model that nobody named."""
    world = World(CONFIG)
    call(world, "GET", "/v1/batches")
    answer(world)
    record = world.exchanges[-1]["exchange"]
    assert (record.call, record.account, record.asked) == ("batches", "codex-api-key[0]", "")
    assert "call=batches" in str(record)


def test_later_calls_go_where_the_id_came_from() -> None:
    """Also those that name it in their body, and questions to models."""
    world = World(CONFIG.replace("account-key-a", "account-key-a\n    priority: -1"))
    uploaded(world)
    assert host(world) == "b.test"
    call(world, "GET", "/v1/files/file-1/content")
    answer(world)
    call(world, "POST", "/v1/batches", {"input_file_id": "file-1", "endpoint": "/v1/responses"})
    answer(world, {"id": "batch_1", "input_file_id": "file-1", "output_file_id": "file-2"})
    for path in ("/v1/batches/batch_1", "/v1/files/file-2/content"):
        call(world, "GET", path)
        answer(world)
    content = [{"type": "input_file", "file_id": "file-2"}]
    call(world, "POST", "/v1/responses", {"model": "gpt-x", "input": [{"role": "user", "content": content}]})
    call(world, "DELETE", "/v1/files/file-1")
    assert [sent.url.split("/")[2] for sent in world.client.sent] == ["b.test"] * 7


def test_an_answer_can_be_fetched_from_the_account_that_made_it() -> None:
    """Whatever other accounts of OpenAI's there are; and deleted, and cancelled."""
    world = World(CONFIG)
    for id_ in ("resp_1", "resp_2"):
        call(world, "POST", "/v1/responses", {"model": "gpt-x", "input": id_, "background": True})
        body = {"id": id_, "object": "response", "status": "queued", "model": "gpt-x", "output": []}
        answer(world, body)
        made = host(world)
        for method, tail in (("GET", ""), ("POST", "/cancel"), ("GET", "/input_items"), ("DELETE", "")):
            call(world, method, f"/v1/responses/{id_}{tail}")
            answer(world, {"id": id_})
            assert host(world) == made


@pytest.mark.parametrize(
    ("path", "headers", "found"),
    [
        ("/v1/files/file-9", {}, ("error", "code", "not_found")),
        ("/v1/responses/resp_9", {}, ("error", "code", "not_found")),
        ("/v1beta/files/abc", GOOGLE, ("error", "status", "NOT_FOUND")),
    ],
)
def test_an_unknown_id_of_several_accounts(
    path: str, headers: dict[str, str], found: tuple[str, ...]
) -> None:
    """404 in the path's dialect, and how it could be reached."""
    world = World(CONFIG)
    connection = call(world, "GET", path, headers=headers)
    value = json.loads(connection.body)
    for name in found[:-1]:
        value = value[name]
    assert (connection.status, value) == (404, found[-1])
    assert b"api-keys[].accounts" in connection.body
    assert not world.client.sent


def test_an_unknown_id_of_the_only_account() -> None:
    """Is asked for there, and so is that of a client that may use only one."""
    world = World(CONFIG)
    call(world, "GET", "/v1/messages/batches/msgbatch_9", headers=ANTHROPIC)
    assert host(world) == "c.test"
    keys = f'[{{key: "{CLIENT_KEY}", name: ci, accounts: ["codex-api-key[1]"]}}]'
    world = World(CONFIG.replace(f'["{CLIENT_KEY}"]', keys))
    call(world, "GET", "/v1/files/file-9")
    assert host(world) == "b.test"


def test_no_account_of_that_vendor() -> None:
    """Which kinds of accounts would do is in the error."""
    world = World(f'api-keys: ["{CLIENT_KEY}"]\nclaude-api-key: [{{api-key: account-key-c}}]')
    connection = call(world, "GET", "/v1/files")
    assert connection.status == 404
    assert b"codex-api-key" in connection.body


def test_an_upload_passes_as_it_arrives() -> None:
    """Before its end has come, and no faster than the account takes it."""
    world = World(CONFIG)
    client = world.connect().send(
        f"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1:8317\r\nAuthorization: Bearer {CLIENT_KEY}\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 1000\r\n\r\n".encode()
        + b"x" * 100
    )
    sent = world.client.sent[0]
    assert (sent.body, sent.body_done, sent.producer.length) == (b"x" * 100, False, 1000)
    assert sent.header("content-type") == ["multipart/form-data; boundary=B"]
    sent.producer.pauseProducing()
    assert sent.producer.held
    sent.producer.resumeProducing()
    client.send(b"x" * 900)
    assert (len(sent.body), sent.body_done) == (1000, True)


def test_a_client_that_leaves_ends_its_upload() -> None:
    """The account's connection is not left waiting for the rest."""
    world = World(CONFIG)
    client = world.connect().send(
        f"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1:8317\r\nAuthorization: Bearer {CLIENT_KEY}\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 1000\r\n\r\n".encode()
        + b"x" * 100
    )
    client.leave()
    assert world.client.sent[0].cancelled


def test_sound_passes_as_it_comes() -> None:
    """Bytes, before their end has come, with their type; a slow client holds the account."""
    world = World(CONFIG)
    connection = call(world, "POST", "/v1/audio/speech", {"model": "speaker", "input": "hi", "voice": "a"})
    sent = world.client.sent[-1]
    assert (sent.url, json.loads(sent.body)["model"]) == ("http://l.test/v1/audio/speech", "kokoro")
    out = sent.respond(200, {"Content-Type": ["audio/mpeg"], "Set-Cookie": ["a=b"]})
    out.data(b"\xff\xfb one")
    world.turn()
    assert b"audio/mpeg" in connection.answer
    assert b"Set-Cookie" not in connection.answer
    assert b"\xff\xfb one" in connection.answer
    connection.transport.producer.pauseProducing()
    assert out.state == "paused"
    connection.transport.producer.resumeProducing()
    out.data(b"two")
    out.done()
    assert connection.ended_cleanly


def test_an_answer_that_breaks_off_is_not_whole() -> None:
    """The client sees that by its connection."""
    world = World(CONFIG)
    connection = call(world, "GET", "/v1/files", headers=ANTHROPIC)
    out = world.client.sent[-1].respond(200, JSON)
    out.data(b'{"data": [')
    out.lose()
    world.turn()
    assert connection.closed
    assert not connection.ended_cleanly


def form(*parts: tuple[str, bytes]) -> bytes:
    out = b""
    for name, value in parts:
        file = '; filename="a.wav"\r\nContent-Type: audio/wav' if name == "file" else ""
        out += (
            f'--B0\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + value + b"\r\n"
        )
    return out + b"--B0--\r\n"


FORM = {"Content-Type": 'multipart/form-data; boundary="B0"'}


def test_the_model_of_a_form() -> None:
    """Decides where it goes, and has its vendor's name there; the length follows."""
    world = World(CONFIG)
    sound = b"RIFF" + bytes(range(256))
    body = form(("model", b"speaker"), ("file", sound))
    call(world, "POST", "/v1/audio/transcriptions", body, FORM)
    sent = world.client.sent[-1]
    assert sent.url == "http://l.test/v1/audio/transcriptions"
    assert sent.body == form(("model", b"kokoro"), ("file", sound))
    assert sent.producer.length == len(sent.body)


def test_a_form_that_comes_in_pieces() -> None:
    """Waits for its model, and for no more."""
    world = World(CONFIG)
    head, _, rest = form(("model", b"speaker"), ("file", b"x" * 200_000)).partition(b"speaker")
    length = len(head) + len(b"speaker") + len(rest)
    client = world.connect().send(
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1:8317\r\nContent-Length: {length}\r\n"
        f"Authorization: Bearer {CLIENT_KEY}\r\nContent-Type: {FORM['Content-Type']}\r\n\r\n".encode()
        + head
    )
    assert not world.client.sent
    client.send(b"spea").send(b"ker" + rest[:70_000])
    sent = world.client.sent[0]
    assert (sent.url, sent.body_done) == ("http://l.test/v1/audio/transcriptions", False)
    client.send(rest[70_000:])
    assert (sent.body_done, len(sent.body), sent.producer.length) == (True, length - 1, length - 1)
    assert sent.body.startswith(head + b"kokoro")


def test_a_client_that_leaves_before_its_model() -> None:
    """Nothing is asked of anybody, and nothing is logged as a defect."""
    world = World(CONFIG)
    client = world.connect().send(
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1:8317\r\nContent-Length: 1000\r\n"
        f"Authorization: Bearer {CLIENT_KEY}\r\nContent-Type: {FORM['Content-Type']}\r\n\r\n--B0".encode()
    )
    client.leave()
    world.turn()
    assert not world.client.sent
    assert [event["exchange"].outcome.value for event in world.exchanges] == ["client-left"]


def test_a_form_whose_model_is_behind_a_large_file() -> None:
    """Is not held until the model comes: the vendor's first account gets it."""
    world = World(CONFIG)
    body = form(("file", b"\r\nmodel" * 20_000), ("model", b"whisper-9"))
    call(world, "POST", "/v1/audio/transcriptions", body, FORM)
    assert world.client.sent[-1].url == "http://a.test/v1/audio/transcriptions"
    assert world.client.sent[-1].body == body


def test_a_model_that_no_list_has_goes_to_its_vendor() -> None:
    """OpenAI's lists here leave out what cannot answer."""
    world = World(CONFIG)
    call(world, "POST", "/v1/images/generations", {"model": "gpt-image-9", "prompt": "a cat"})
    assert host(world) in ("a.test", "b.test")


def test_an_alias_gets_its_own_name() -> None:
    """In JSON as in a form."""
    world = World(CONFIG)
    call(world, "POST", "/v1/images/generations", {"model": "painter", "prompt": "a cat"})
    sent = world.client.sent[-1]
    assert (host(world), json.loads(sent.body)["model"]) == ("a.test", "gpt-image-2")


def test_another_account_where_one_is_at_fault() -> None:
    """A busy or refused account is passed over, and rests."""
    world = World(CONFIG)
    connection = call(world, "POST", "/v1/images/generations", {"model": "gpt-image-9", "prompt": "a cat"})
    first = host(world)
    answer(world, {"error": {"message": "slow down"}}, 429, {"Retry-After": ["30"]})
    assert host(world) != first
    answer(world, {"data": [], "usage": {"input_tokens": 7, "output_tokens": 9}})
    assert connection.status == 200
    usage = world.exchanges[-1]["exchange"].usage
    assert (usage.input, usage.output) == (7, 9)
    for _ in range(2):
        call(world, "POST", "/v1/images/generations", {"model": "gpt-image-9", "prompt": "a dog"})
        assert host(world) != first


def test_an_error_comes_as_it_is_but_for_keys() -> None:
    """The vendor's words and status, without the account's key that some repeat."""
    world = World(CONFIG)
    connection = call(world, "POST", "/v1/batches", {})
    error = {"error": {"message": "Not with account-key-a", "type": "x", "code": "y"}}
    answer(world, error, 400)
    assert connection.status == 400
    assert json.loads(connection.body)["error"]["code"] == "y"
    assert b"account-key-a" not in connection.answer


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/batches", {}), ("/v1/images/generations", {"model": "painter", "prompt": "a"})]
)
def test_an_account_whose_key_is_refused(path: str, body: Any) -> None:
    """Is no fault of the client's key: 502, and what is to be done."""
    world = World(CONFIG)
    connection = call(world, "POST", path, body)
    answer(world, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, 401)
    assert connection.status == 502
    error = json.loads(connection.body)["error"]
    assert error["code"] == "vendor_key_refused"
    assert "codex-api-key[0]" in error["message"]


def test_a_wait_is_bounded() -> None:
    """As for requests to models: no vendor sends a client away for a year."""
    world = World(CONFIG)
    connection = call(world, "GET", "/v1/batches")
    answer(world, {"error": {"message": "Slow down."}}, 429, {"Retry-After": ["31536000"]})
    assert connection.status == 429
    (wait,) = re.findall(rb"\r\nRetry-After: (\d+)", connection.answer, re.IGNORECASE)
    assert int(wait) <= 3600


@pytest.mark.parametrize("how", ["cut", "huge"])
@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_refusal_whose_body_cannot_be_read(status: int, how: str) -> None:
    """Its status counts all the same."""
    world = World(CONFIG)
    connection = call(world, "GET", "/v1/batches")
    body = world.client.sent[-1].respond(status, JSON, 4_000_000)
    body.data(b'{"error":' if how == "cut" else b" " * 2_000_000)
    if how == "cut":
        body.lose(ResponseFailed([Failure(ConnectionDone())]))
    world.turn()
    assert connection.status == (502 if status == 401 else status)
    assert "HTTP status" in json.loads(connection.body)["error"]["message"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_kept_connection_that_was_closed(method: str) -> None:
    """Is tried once more, with the whole body: nothing was begun there."""
    world = World(CONFIG)
    body = {"endpoint": "/v1/responses"} if method == "POST" else None
    connection = call(world, method, "/v1/batches", body)
    for _ in range(2):
        reason = Failure(ConnectionDone())
        world.client.sent[-1].answer.errback(Failure(ResponseNeverReceived([reason])))
        world.turn()
    assert len(world.client.sent) == 2
    assert world.client.sent[1].body == world.client.sent[0].body
    assert connection.status == 502


def test_accounts_that_all_fail() -> None:
    """Are told of in one error, and asked again when they are back."""
    world = World(CONFIG)
    body = {"model": "gpt-image-9", "prompt": "a cat"}
    connection = call(world, "POST", "/v1/images/generations", body)
    for _ in range(2):
        answer(world, {"error": {"message": "slow down"}}, 429, {"Retry-After": ["30"]})
    assert connection.status == 429
    assert b"codex-api-key[1]" in connection.body
    assert b"Retry-After" in connection.answer
    assert len(world.exchanges[-1]["exchange"].attempts) == 2


def test_the_ledger() -> None:
    """Has what makes a model work, and no look at what is stored."""
    world = World(CONFIG)
    for method, path, body in (
        ("POST", "/v1/images/generations", {"model": "painter", "prompt": "a cat"}),
        ("POST", "/v1/batches", {"endpoint": "/v1/responses"}),
        ("GET", "/v1/batches", None),
        ("POST", "/v1/conversations", {}),
    ):
        call(world, method, path, body)
        answer(world, {"usage": {"input_tokens": 7, "output_tokens": 9}})
    records = [event["exchange"] for event in world.exchanges]
    kept = [entry_of(record, 0.0) for record in records if is_kept(record, management=False)]
    assert [(entry.series.asked, entry.series.served) for entry in kept] == [
        ("painter", "gpt-image-2"),
        ("batches", ""),
    ]
    assert kept[0].tokens is not None
    assert (kept[0].tokens.input, kept[0].tokens.output) == (7, 9)


def test_a_page_instead_of_an_error() -> None:
    """Becomes one of the dialect."""
    world = World(CONFIG)
    connection = call(world, "GET", "/v1/messages/batches", headers=ANTHROPIC)
    answer(world, b"<html>nginx</html>", 502, {"Content-Type": ["text/html"]})
    assert connection.status == 502
    assert json.loads(connection.body)["type"] == "error"


def test_results_of_a_batch_are_fetched_here() -> None:
    """Anthropic's SDKs ask at the address in the answer, with the client's key: it leads here."""
    world = World(CONFIG)
    connection = call(
        world, "GET", "/v1/messages/batches/msgbatch_1", headers={**ANTHROPIC, "Host": "127.0.0.1:8317"}
    )
    out = world.client.sent[-1].respond(200, JSON)
    text = b'{"id": "msgbatch_1", "results_url": "http://c.test/v1/messages/batches/msgbatch_1/results"}'
    for at in range(0, len(text), 7):
        out.data(text[at : at + 7])
    out.done()
    url = json.loads(connection.body)["results_url"]
    assert url == "http://127.0.0.1:8317/v1/messages/batches/msgbatch_1/results"
    call(world, "GET", "/v1/messages/batches/msgbatch_1/results", headers=ANTHROPIC)
    assert world.client.sent[-1].url == "http://c.test/v1/messages/batches/msgbatch_1/results"


START = {
    **GOOGLE,
    "Host": "127.0.0.1:8317",
    "X-Goog-Upload-Protocol": "resumable",
    "X-Goog-Upload-Command": "start",
    "X-Goog-Upload-Header-Content-Length": "4",
}


def test_an_upload_in_pieces() -> None:
    """Google's SDKs send the pieces to the address in the answer, without a key: it leads here, and on."""
    world = World(CONFIG.replace("account-key-e", "account-key-e, priority: -1"))
    connection = call(world, "POST", "/upload/v1beta/files", {"file": {"displayName": "a"}}, START)
    started = world.client.sent[-1]
    assert started.url == "http://f.test/upload/v1beta/files"
    assert started.header("x-goog-upload-command") == ["start"]
    url = "http://f.test/upload/v1beta/files?upload_id=ABC-1&upload_protocol=resumable"
    answer(world, {}, 200, {"X-Goog-Upload-URL": [url], "X-Goog-Upload-Status": ["active"]})
    there = "http://127.0.0.1:8317/upload/v1beta/files?upload_id=ABC-1&upload_protocol=resumable"
    assert f"x-goog-upload-url: {there}".encode() in connection.answer.lower().replace(b"abc-1", b"ABC-1")
    headers = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
    path = "/upload/v1beta/files?upload_id=ABC-1&upload_protocol=resumable"
    last = call(world, "POST", path, b"data", headers, key=None)
    sent = world.client.sent[-1]
    assert (sent.url, sent.body) == (url, b"data")
    assert sent.header("x-goog-api-key") == ["account-key-f"]
    file = {"name": "files/abc", "uri": "http://f.test/v1beta/files/abc"}
    answer(world, {"file": file}, 200, {"X-Goog-Upload-Status": ["final"]})
    assert b"x-goog-upload-status: final" in last.answer.lower()
    call(world, "GET", "/v1beta/files/abc", headers=GOOGLE)
    assert host(world) == "f.test"


def test_without_pins() -> None:
    """Nothing is known of ids, and the error has the setting; pieces of an upload go to their vendor."""
    world = World(CONFIG + "routing: {max-pins: 0}\n")
    uploaded(world)
    connection = call(world, "GET", "/v1/files/file-1")
    assert connection.status == 404
    assert b"routing.max-pins" in connection.body
    connection = call(world, "POST", "/upload/v1beta/files", {"file": {}}, START)
    url = "http://e.test/upload/v1beta/files?upload_id=ABC-1"
    answer(world, {}, 200, {"X-Goog-Upload-URL": [url]})
    assert url.encode() in connection.answer


def test_an_upload_opens_nothing_else() -> None:
    """Who knows one cannot begin another by it, or ask for anything else."""
    world = World(CONFIG)
    world.generation.runtime.pins.pin(["upload:ABC-1"], "gemini-api-key#1")
    start = {"X-Goog-Upload-Command": "start", "X-Goog-Upload-Protocol": "resumable"}
    for path in ("/upload/v1beta/files?upload_id=ABC-1", "/v1beta/files?upload_id=ABC-1"):
        assert call(world, "POST", path, b"{}", start, key=None).status == 401
    assert not world.client.sent


def test_a_made_up_upload_is_nobodys() -> None:
    """Without a key it is refused like anything else."""
    world = World(CONFIG)
    connection = call(world, "POST", "/upload/v1beta/files?upload_id=made-up", b"data", key=None)
    assert connection.status == 401
    assert not world.client.sent


def test_interactions() -> None:
    """The next one goes to the account that keeps the one before."""
    world = World(CONFIG.replace("account-key-e", "account-key-e, priority: -1"))
    call(world, "POST", "/v1beta/interactions", {"agent": "deep-research", "input": "hi"}, GOOGLE)
    answer(world, {"id": "v1_abc", "status": "in_progress"})
    assert host(world) == "f.test"
    call(world, "GET", "/v1beta/interactions/v1_abc", headers=GOOGLE)
    assert world.client.sent[-1].url == "http://f.test/v1beta/interactions/v1_abc"
    answer(world, {"id": "v1_abc"})
    body = {"model": "gemini-x", "input": "and?", "previous_interaction_id": "v1_abc"}
    for _ in range(2):
        call(world, "POST", "/v1beta/interactions", body, GOOGLE)
        assert host(world) == "f.test"


def test_a_cache_is_used_where_it_is() -> None:
    """A question that refers to it goes there, too."""
    world = World(CONFIG.replace("account-key-e", "account-key-e, priority: -1"))
    call(world, "POST", "/v1beta/cachedContents", {"model": "models/gemini-x", "contents": []}, GOOGLE)
    answer(world, {"name": "cachedContents/c1"})
    made = host(world)
    body = {"cachedContent": "cachedContents/c1", "contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    for _ in range(2):
        call(world, "POST", "/v1beta/models/gemini-x:generateContent", body, GOOGLE)
        assert host(world) == made


def test_a_batch_that_a_method_of_a_model_begins() -> None:
    """Is asked about where it was begun."""
    world = World(CONFIG)
    for id_ in ("batches/b1", "batches/b2"):
        call(world, "POST", "/v1beta/models/gemini-x:batchGenerateContent", {"batch": {}}, GOOGLE)
        answer(world, {"name": id_, "metadata": {}})
        made = host(world)
        call(world, "GET", f"/v1beta/{id_}", headers=GOOGLE)
        answer(world, {"name": id_, "done": True})
        call(world, "POST", f"/v1beta/{id_}:cancel", headers=GOOGLE)
        assert [sent.url.split("/")[2] for sent in world.client.sent[-3:]] == [made] * 3


def test_a_video() -> None:
    """It is begun by a method of a model, asked about, and downloaded from the account that makes it."""
    world = World(CONFIG)
    operation = "models/gemini-x/operations/op-1"
    for _ in range(2):
        call(world, "POST", "/v1beta/models/gemini-x:predictLongRunning", {"instances": []}, GOOGLE)
        answer(world, {"name": operation})
        made = host(world)
        call(world, "GET", f"/v1beta/{operation}", headers=GOOGLE)
        assert world.client.sent[-1].url == f"http://{made}/v1beta/{operation}"
        uri = "https://generativelanguage.googleapis.com/v1beta/files/v1:download?alt=media"
        answer(world, {"name": operation, "done": True, "response": {"video": {"uri": uri}}})
        call(world, "GET", "/v1beta/files/v1:download?alt=media", headers=GOOGLE)
        assert world.client.sent[-1].url == f"http://{made}/v1beta/files/v1:download?alt=media"
        answer(world, b"mp4", 200, {"Content-Type": ["video/mp4"]})


def test_an_answer_of_a_model_that_one_account_has() -> None:
    """Is noted where other accounts could be asked for it by its id alone."""
    world = World(
        CONFIG.replace(
            'http://b.test/v1", models: [{name: gpt-x}]', 'http://b.test/v1", models: [{name: gpt-y}]'
        )
    )
    call(world, "POST", "/v1/responses", {"model": "gpt-y", "input": "hi"})
    answer(
        world, {"id": "resp_7", "object": "response", "status": "completed", "model": "gpt-y", "output": []}
    )
    call(world, "GET", "/v1/responses/resp_7")
    assert [sent.url for sent in world.client.sent[1:]] == ["http://b.test/v1/responses/resp_7"]


def with_key(entry: str) -> World:
    return World(CONFIG.replace(f'["{CLIENT_KEY}"]', f'[{{key: "{CLIENT_KEY}", name: ci, {entry}}}]'))


@pytest.mark.parametrize(
    ("entry", "method", "path", "body", "status"),
    [
        ("routes: [models]", "GET", "/v1/files", None, 403),
        ("routes: [models]", "DELETE", "/v1/files/file-1", None, 403),
        ("routes: [stored]", "GET", "/v1/files", None, 200),
        ("routes: [stored]", "POST", "/v1/images/generations", {"model": "painter"}, 403),
        ("routes: [models]", "POST", "/v1/images/generations", {"model": "painter"}, 200),
        ("models: [gpt-x]", "POST", "/v1/images/generations", {"model": "painter"}, 403),
        ("models: [painter]", "POST", "/v1/images/generations", {"model": "painter"}, 200),
        ("models: [gpt-x]", "POST", "/v1/batches", {"input_file_id": "file-1"}, 403),
        ("models: [gpt-x]", "GET", "/v1/batches", None, 200),
        ("limits: {tokens-per-day: 1000000}", "POST", "/v1/images/generations", {"model": "painter"}, 402),
        ("limits: {requests-per-day: 1}", "POST", "/v1/images/generations", {"model": "painter"}, 200),
        ('accounts: ["claude*"]', "GET", "/v1/batches", None, 404),
    ],
)
def test_rights_of_clients(entry: str, method: str, path: str, body: Any, status: int) -> None:
    """Classes of routes, models, accounts and limits count here, too."""
    world = with_key(entry)
    connection = call(world, method, path, body)
    if status == 200:
        answer(world, {"data": []})
    assert (connection.status, bool(world.client.sent)) == (status, status == 200)


TWO = f"""[
  {{key: "{CLIENT_KEY}", name: ci, accounts: ["codex-api-key[1]"]}},
  {{key: second-key-0123456789, name: all}},
  {{key: third-key-0123456789, name: other, accounts: ["codex-api-key[0]"]}}]"""


def test_what_one_client_found_another_may_ask_for() -> None:
    """An id that an account took is its own; to a client that may not use that account it is not there."""
    world = World(CONFIG.replace(f'["{CLIENT_KEY}"]', TWO))
    call(world, "GET", "/v1/files/file-9/content")
    answer(world, b"x", 200, {"Content-Type": ["application/octet-stream"]})
    call(world, "GET", "/v1/files/file-9/content", key="second-key-0123456789")
    answer(world, b"x")
    assert [sent.url.split("/")[2] for sent in world.client.sent] == ["b.test"] * 2
    assert call(world, "GET", "/v1/files/file-9", key="third-key-0123456789").status == 404
    assert len(world.client.sent) == 2


def test_rights_that_are_taken_away() -> None:
    """End what is under way."""
    config = CONFIG.replace(f'["{CLIENT_KEY}"]', TWO)
    world = World(config)
    connection = call(world, "GET", "/v1/files/file-9/content")
    out = world.client.sent[-1].respond(200, {"Content-Type": ["application/octet-stream"]})
    out.data(b"half")
    world.turn()
    assert world.use(config.replace("codex-api-key[1]", "codex-api-key[0]")) == 1
    world.turn()
    assert out.state == "stopped"
    assert not connection.ended_cleanly


def test_requests_are_counted() -> None:
    """A client's limit of requests ends at one of these, too."""
    world = with_key("limits: {requests-per-day: 1}")
    call(world, "GET", "/v1/batches")
    answer(world)
    assert call(world, "GET", "/v1/batches").status == 429


def test_a_batch_names_models_that_a_client_may_not_use() -> None:
    """Each of its requests counts."""
    world = with_key("models: [claude-x]")
    batch = [{"custom_id": name, "params": {"model": name}} for name in ("claude-x", "claude-y")]
    connection = call(world, "POST", "/v1/messages/batches", {"requests": batch}, ANTHROPIC)
    assert connection.status == 403
    assert b"claude-y" in connection.body
    call(world, "POST", "/v1/messages/batches", {"requests": batch[:1]}, ANTHROPIC)
    assert host(world) == "c.test"


@pytest.mark.parametrize("path", ["/v1/files", "/v1/batches/batch_1/cancel", "/v1beta/files/abc"])
def test_the_wrong_method(path: str) -> None:
    """405 in the dialect of the path, with the ones that it takes."""
    world = World(CONFIG)
    connection = call(world, "PATCH", path)
    assert connection.status == 405
    assert b"Allow: " in connection.answer
    assert "error" in json.loads(connection.body)


def test_keys_count() -> None:
    """Nothing of it is for who has none."""
    world = World(CONFIG)
    for path in ("/v1/files", "/v1/images/generations", "/upload/v1beta/files"):
        assert call(world, "POST", path, {}, key=None).status == 401
        assert call(world, "POST", path, {}, key="made-up").status == 401
