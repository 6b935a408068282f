"""A service of two workers, as its users run it: what one process does they do together, and one that dies
takes nothing along but what it served.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic as anthropic_sdk
import httpx2
import openai
import pytest
from google import genai
from twisted.internet import reactor

from ampproxy.testing import anthropic
from tests.loopback.test_restart import Running, ask, is_there, wait_for
from tests.ports import free_port
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

MODEL = "claude-sonnet-4-5"
SLOW = f"{MODEL}+interval=0.2+events=40"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Any]:
    stand_in = in_reactor(anthropic.start, reactor, keys=["vendor-key"])
    yield stand_in
    in_reactor(stand_in.stop)


def config(
    vendor: Any, port: int, models: str = f"{{name: {MODEL}}}, {{name: {SLOW}}}", more: str = ""
) -> str:
    return (
        f"port: {port}\nworkers: 2\napi-keys: [k]\nmetrics: {{enable: false}}\n{more}"
        f"claude-api-key: [{{api-key: vendor-key, base-url: '{vendor.url}', models: [{models}]}}]\n"
    )


@pytest.fixture
def service(tmp_path: Path, vendor: Any) -> Iterator[Running]:
    running = Running(tmp_path, config(vendor, free_port(), more="limits: {max-stored: 1MiB}\n"))
    running.wait_for_log("is ready", 2)
    yield running
    running.stop()


def workers(service: Running) -> dict[int, dict[str, Any]]:
    return {one["number"]: one for one in service.state()["workers"]}


def is_replaced(service: Running, number: int, pid: int) -> bool:
    """Whether another process has a worker's place and serves; until it is forked, the place has none."""
    one = workers(service)[number]
    return bool(one["state"] == "ready" and one["pid"] != pid)


def ledger(folder: Path) -> int:
    with sqlite3.connect(folder / ".local/state/ampproxy/ledger.sqlite3") as connection:
        return int(connection.execute("SELECT COUNT(*) FROM exchanges").fetchone()[0])


def read(stream: http.client.HTTPResponse) -> bytes | None:
    """All of a stream; ``None``: it was cut off."""
    try:
        return stream.read()
    except (http.client.IncompleteRead, ConnectionError):
        return None


def test_one_is_killed(service: Running, tmp_path: Path, vendor: Any) -> None:
    """Both serve. When one is killed in running streams, its own end, broken; the others' go on, new clients
    are served at once, another worker takes its place, and the ledger has a row for each request that the
    vendor got.
    """
    before = len(vendor.requests)
    streams = [ask(service, SLOW) for _ in range(12)]
    wait_for(lambda: sum(one.get("running", 0) for one in workers(service).values()) == 12)
    found = workers(service)
    lost = found[1]["running"]
    assert 0 < lost < 12
    os.kill(found[1]["pid"], signal.SIGKILL)
    for _ in range(10):
        assert ask(service, MODEL).read().count(b"event: message_stop") == 1
    whole = [read(stream) for stream in streams]
    assert whole.count(None) == lost
    assert all(each.count(b"event: message_stop") == 1 for each in whole if each is not None)
    wait_for(lambda: is_replaced(service, 1, found[1]["pid"]))
    assert workers(service)[2]["pid"] == found[2]["pid"]
    assert workers(service)[1]["deaths"] == 1
    wait_for(lambda: ledger(tmp_path) == len(vendor.requests) - before == 22)
    assert service.log_text.count("code=worker_ended") == lost
    assert "signal 9 (SIGKILL)" in service.log_text
    check_conversation(service)
    check_sdks(service)
    assert "Traceback" not in service.log_text


def check_conversation(service: Running) -> None:
    """A client goes on from an answer over other connections, each of which may be another worker's."""
    before = ""
    for _ in range(6):
        with openai.OpenAI(base_url=f"{service.url}/v1", api_key="k", max_retries=0) as client:
            more: Any = {"previous_response_id": before} if before else {}
            before = client.responses.create(model=MODEL, input="hi", **more).id
            assert client.responses.retrieve(before).id == before


def check_sdks(service: Running) -> None:
    """The streams of workers that are killed have no end that a vendor's SDK takes for one: each raises.
    So does one over HTTP/1.0, where an orderly end of the connection would be that of the answer.
    """
    with (
        anthropic_sdk.Anthropic(base_url=service.url, api_key="k", max_retries=0) as claude,
        openai.OpenAI(base_url=f"{service.url}/v1", api_key="k", max_retries=0) as gpt,
        genai.Client(api_key="k", http_options={"base_url": service.url}) as gemini,
    ):
        said: Any = [{"role": "user", "content": "hi"}]
        streams: list[Any] = [
            claude.messages.create(model=SLOW, max_tokens=9, messages=said, stream=True),
            gpt.chat.completions.create(model=SLOW, messages=said, stream=True),
            gpt.responses.create(model=SLOW, input="hi", stream=True),
            gemini.models.generate_content_stream(model=SLOW, contents="hi"),
        ]
        begun = [iter(stream) for stream in streams]
        assert all(next(stream) for stream in begun)
        old = ask_by_old_http(service, SLOW)
        assert b"200 OK" in old.recv(100)
        for one in workers(service).values():
            os.kill(one["pid"], signal.SIGKILL)
        for stream in begun:
            with pytest.raises(
                (anthropic_sdk.APIError, openai.APIError, genai.errors.APIError, httpx2.HTTPError)
            ):
                list(stream)
    with pytest.raises(ConnectionResetError):
        rest(old)
    assert rest(ask_by_old_http(service, MODEL)).count(b"event: message_stop") == 1


def ask_by_old_http(service: Running, model: str) -> socket.socket:
    """A stream that has begun, for a client of HTTP/1.0."""
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    text = json.dumps(body).encode()
    client = socket.create_connection(("127.0.0.1", service.port), 60)
    head = b"POST /v1/messages HTTP/1.0\r\nHost: localhost\r\nX-Api-Key: k\r\nContent-Length: %d\r\n\r\n"
    client.sendall(head % len(text) + text)
    return client


def rest(client: socket.socket) -> bytes:
    """All that comes until the end of the connection."""
    with client:
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_reload_is_one_step(service: Running, tmp_path: Path, vendor: Any) -> None:
    """All workers have another configuration at the same time, a wrong one none of them, and the address may
    be another one, too.
    """
    port = free_port()
    text = config(vendor, port, f"{{name: {MODEL}, alias: other}}")
    service.path.write_text(text + "nonsense: [")
    assert service.command("reload").exit_code == 1
    assert {listed(service) for _ in range(8)} == {(MODEL, SLOW)}
    service.path.write_text(text)
    told = service.command("reload", "--at", f"127.0.0.1:{service.port}")
    assert told.exit_code == 0, told.output
    service.port = port
    assert {listed(service) for _ in range(8)} == {("other",)}
    assert service.state()["listening"] == [f"127.0.0.1:{port}"]
    assert "Traceback" not in service.log_text


def listed(service: Running) -> tuple[str, ...]:
    connection = service.connect()
    connection.request("GET", "/v1/models", headers={"X-Api-Key": "k"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return tuple(model["id"] for model in answer["data"])


def test_one_is_asked_to_end(service: Running, vendor: Any) -> None:
    """SIGTERM has one worker finish its streams, while another one has taken its place: also where the
    process that workers are forked from has ended.
    """
    streams = [ask(service, SLOW) for _ in range(8)]
    pid = workers(service)[2]["pid"]
    template = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(template, signal.SIGKILL)
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: is_replaced(service, 2, pid))
    assert [stream.read().count(b"event: message_stop") for stream in streams] == [1] * 8
    wait_for(lambda: not is_there(pid))
    assert "Traceback" not in service.log_text


def test_the_supervisor_is_killed(service: Running, tmp_path: Path, vendor: Any) -> None:
    """The workers finish their streams, serve who has connected, write what has ended to the ledger, and end,
    too.
    """
    before = len(vendor.requests)
    pids = [one["pid"] for one in workers(service).values()]
    streams = [ask(service, SLOW) for _ in range(8)]
    for _ in range(40):  # some of these are written when it dies, some are not
        ask(service, MODEL).read()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    # Nothing of these is accepted yet.
    late = [ask_by_old_http(service, MODEL) for _ in range(6)]
    service.process.kill()
    service.process.wait(60)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert [rest(one).count(b"event: message_stop") for one in late] == [1] * 6
    assert [stream.read().count(b"event: message_stop") for stream in streams] == [1] * 8
    wait_for(lambda: not any(map(is_there, pids)))
    assert ledger(tmp_path) == len(vendor.requests) - before == 54
    assert "The supervisor has ended" in service.log_text
