"""``python -m benchmarks.hostile``: what good clients notice while others do their worst.

A gateway, a vendor and the clients run on this machine. Four clients send hostile requests in a loop; others
ask honest questions, and watch a paced stream and the health check. It fails if the delay of the health check
or of an event exceeds half a second at the 99th percentile, an honest request is refused, the log has a
traceback, memory grows on after the first third of the time, or descriptors are not back where they were ten
seconds after the last hostile request.

``--kind KIND`` runs one kind of hostile request alone (``--list`` names them), ``--each`` one kind after the
other; else they are mixed. ``--seconds N`` says how long each phase takes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

KEY = "benchmark-client-key"
#: Seconds that a good client may be kept waiting, at the 99th percentile.
DELAY = 0.5
#: What may be left of memory after all, in bytes, and of descriptors.
LEFT = 60 * 1024 * 1024
LEFT_FDS = 12
HOSTILE_CLIENTS = 4

_CONFIG = """\
host: 127.0.0.1
port: 0
api-keys: [{key}]
disable-cooling: true
limits: {{idle-timeout: 5s}}
timeouts: {{idle: 10s, first-byte: 20s}}
claude-api-key:
  - {{api-key: k, base-url: "http://127.0.0.1:{port}", models: [{{name: claude-m, alias: anthropic}}]}}
gemini-api-key:
  - {{api-key: k, base-url: "http://127.0.0.1:{port}", models: [{{name: gemini-m, alias: gemini}}]}}
codex-api-key:
  - {{api-key: k, base-url: "http://127.0.0.1:{port}/v1", models: [{{name: codex-m, alias: responses}}]}}
openai-compatibility:
  - name: chat
    base-url: "http://127.0.0.1:{port}/v1"
    api-key-entries: [{{api-key: k}}]
    models: [{{name: chat-m, alias: chat}}, {{name: bad-m, alias: bad}}]
"""


# The vendor: honest to honest questions, and as bad as one asks for.

_ANSWERS = {
    "anthropic": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "fine"}], "usage": {"input_tokens": 3, "output_tokens": 1},
    },
    "chat": {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "chat-m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "fine"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    },
    "responses": {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "codex-m",
        "output": [{"id": "m", "type": "message", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "fine", "annotations": []}]}],
        "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4},
    },
    "gemini": {
        "candidates": [{"index": 0, "finishReason": "STOP",
                        "content": {"role": "model", "parts": [{"text": "fine"}]}}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
        "modelVersion": "gemini-m",
    },
}  # fmt: skip


_CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def _dialect_of(path: bytes) -> str:
    if path.endswith(b"/messages"):
        return "anthropic"
    if path.endswith(b"/chat/completions"):
        return "chat"
    return "responses" if path.endswith(b"/responses") else "gemini"


async def _vendor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    over = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError)
    with contextlib.suppress(*over):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].partition(b"?")[0]
            length = next(
                (
                    int(line[15:])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                ),
                0,
            )
            body = await reader.readexactly(length) if length else b""
            await _answer(writer, path, body)
            await writer.drain()
    writer.close()


async def _answer(writer: asyncio.StreamWriter, path: bytes, body: bytes) -> None:
    wish = body.rpartition(b"@@")[0].rpartition(b"@@")[2].decode() if b"@@" in body else ""
    if wish == "paced":
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(100_000):
            told = {"content": f"@{time.monotonic():.6f}@{number}"}
            delta = _CHUNK | {"choices": [{"index": 0, "delta": told}]}
            event = b"data: %s\n\n" % json.dumps(delta, separators=(",", ":")).encode()
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(0.02)
    elif wish in _BAD:
        status, content_type, text = _BAD[wish]()
        writer.write(
            b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n" % (status, content_type, len(text))
        )
        writer.write(b"\r\n" + text)
    elif wish == "headers":
        writer.write(b"HTTP/1.1 200 OK\r\n")
        lines = b"X-Pad: %s\r\n" % (b"x" * 200) * 500
        for _ in range(400):
            writer.write(lines)
            await writer.drain()
        raise ConnectionResetError
    elif wish == "cut":
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {"id":')
        writer.transport.abort()
    else:
        text = json.dumps(_ANSWERS[_dialect_of(path)]).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text)
        )
        writer.write(text)


def _error(message: str) -> tuple[int, bytes, bytes]:
    return 400, b"application/json", json.dumps({"error": {"message": message, "type": "x"}}).encode()


@lru_cache
def _tool_calls() -> tuple[int, bytes, bytes]:
    events = []
    for number in range(8_000):
        function = {"name": "f", "arguments": "{}"}
        call = {"index": number, "id": f"call_{number}", "type": "function", "function": function}
        events.append(_CHUNK | {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    return 200, b"text/event-stream", b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in events)


_BAD: dict[str, Callable[[], tuple[int, bytes, bytes]]] = {
    "err-tokens": lambda: _error("input token count " * 10_000),
    "err-model": lambda: _error("model/" * 5_000),
    "err-eyj": lambda: _error("-eyJ" * 10_000),
    "err-529": lambda: (529, b"application/json", b'{"error":{"message":"overloaded"}}'),
    "html": lambda: (200, b"text/html", b"<html>" * 1000),
    "tool-calls": _tool_calls,
}


# Requests.


def _request(path: str, body: bytes = b"", *more: str, method: str = "POST", key: bool = True) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *more]
    if key:
        lines.append(f"X-Api-Key: {KEY}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _chat(messages: list[object], wish: str = "", model: str = "chat", **more: object) -> bytes:
    asked = [*messages, {"role": "user", "content": f"hi @@{wish}@@" if wish else "hi"}]
    return json.dumps({"model": model, "messages": asked, **more}).encode()


def _calls(model: str, order: int) -> bytes:
    count = 10_000
    calls = [
        {"id": f"c{at}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for at in range(count)
    ]
    results = [{"role": "tool", "tool_call_id": f"c{at}", "content": "r"} for at in range(count)][::order]
    first = {"role": "assistant", "content": None, "tool_calls": calls}
    return _chat([{"role": "user", "content": "go"}, first, *results], model=model)


def _one_id() -> bytes:
    uses = [{"type": "tool_use", "id": "same", "name": "f", "input": {}} for _ in range(10_000)]
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": uses}]
    return json.dumps({"model": "responses", "max_tokens": 9, "messages": messages}).encode()


def _tools() -> bytes:
    tools = [{"type": "function", "function": {"name": f"{'é' * 3}", "parameters": {}}} for _ in range(5_000)]
    return _chat([], model="gemini", tools=tools)


def _one_text(model: str) -> bytes:
    return _chat([{"role": "user", "content": "word " * 12_000_000}], model=model, max_tokens=9)


def _layers() -> bytes:
    body = b"x" * 8_000_000
    for _ in range(100):
        body = gzip.compress(body, 0)
    return body


_LAYERS: list[bytes] = []


def _stacked() -> bytes:
    if not _LAYERS:
        _LAYERS.append(_layers())
    codings = f"Content-Encoding: {', '.join(['gzip'] * 100)}"
    return _request("/v1/chat/completions", _LAYERS[0], codings)


def _broken_upload() -> bytes:
    return _request("/v1/messages", b"", key=True).replace(
        b"Content-Length: 0", b"Content-Length: 20000000"
    ) + (b"x" * 10_000_000)


def _small_chunks() -> bytes:
    head = _request("/v1/messages").replace(b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n")
    return head + b"2\r\nxx\r\n" * 500_000


_ENDLESS = ("broken-upload", "small-chunks")
_CHAT, _MESSAGES = "/v1/chat/completions", "/v1/messages"
#: Kind -> makes one request. They are made once each: the clients are to be quick.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "path": lambda: _request("/x" + "-eyJ" * 15_000, method="GET", key=False),
    "foreign-host": lambda: _request("/x" + "-eyJ" * 15_000, method="GET", key=False).replace(
        b"Host: localhost", b"Host: evil.example"
    ),
    "user-agent": lambda: _request(
        "/healthz", b"", "User-Agent: " + "-eyJ" * 14_000, method="GET", key=False
    ),
    "request-id": lambda: _request("/x", b"", "X-Request-Id: " + "a." * 20_000, method="GET", key=False),
    "wrong-key": lambda: _request(_CHAT, b"", "Authorization: Bearer " + "sk-" * 15_000, key=False),
    "one-id": lambda: _request(_MESSAGES, _one_id()),
    "reversed-results": lambda: _request(_CHAT, _calls("anthropic", -1)),
    "results-to-gemini": lambda: _request(_CHAT, _calls("gemini", 1)),
    "tool-names": lambda: _request(_CHAT, _tools()),
    "model-name": lambda: _request(_CHAT, _chat([], model="a-" * 30_000)),
    "stacked-codings": _stacked,
    "broken-upload": _broken_upload,
    "small-chunks": _small_chunks,
    **{
        wish: (lambda wish=wish: _request(_CHAT, _chat([], wish, model="bad")))  # type: ignore[misc]
        for wish in ("err-tokens", "err-model", "err-eyj", "err-529", "html", "headers", "cut")
    },
    "tool-calls": lambda: _request(
        "/v1beta/models/bad:streamGenerateContent?alt=sse",
        json.dumps({"contents": [{"role": "user", "parts": [{"text": "hi @@tool-calls@@"}]}]}).encode(),
    ),
    "large": lambda: _request(
        _CHAT, _chat([{"role": "user", "content": "word " * 2_000_000}], model="anthropic")
    ),
    "one-text": lambda: _request(_MESSAGES, _one_text("anthropic")),
    "one-text-translated": lambda: _request(_CHAT, _one_text("anthropic")),
    "deep": lambda: _request(_CHAT, b'{"model":"chat","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "garbage": lambda: _request(_CHAT, b"\xff" * 100_000),
}

GOOD = {
    "anthropic": _request(
        _MESSAGES, b'{"model":"anthropic","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
    ),
    "chat": _request(_CHAT, _chat([])),
    "chat-to-gemini": _request(_CHAT, _chat([], model="gemini")),
    "responses": _request("/v1/responses", b'{"model":"responses","input":"hi"}'),
    "gemini": _request(
        "/v1beta/models/gemini:generateContent", b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'
    ),
}


@dataclass
class Seen:
    """What the good clients saw. Delays in seconds."""

    health: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    good: Counter[str] = field(default_factory=Counter)
    hostile: Counter[str] = field(default_factory=Counter)


async def _exchange(port: int, request: bytes, patience: float = 60.0) -> str:
    """Send a request; gives the status, or what became of it."""
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), patience)
        return line.split(b" ", 2)[1].decode() if line else "closed"
    except (OSError, IndexError, asyncio.TimeoutError) as error:
        return type(error).__name__
    finally:
        if writer is not None:
            writer.transport.abort()


async def _health(port: int, seen: Seen) -> None:
    while True:
        began = time.monotonic()
        status = await _exchange(port, _request("/healthz", method="GET", key=False))
        seen.health.append(time.monotonic() - began)
        seen.good[f"healthz {status}"] += 1
        await asyncio.sleep(0.05)


async def _stream(port: int, seen: Seen) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(_request(_CHAT, _chat([], "paced", stream=True)))
    async for line in _lines(reader):
        if b'"content":"@' in line:
            seen.events.append(time.monotonic() - float(line.partition(b"@")[2].partition(b"@")[0]))
    seen.good["stream broken"] += 1


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while line := await reader.readline():
        yield line


async def _honest(port: int, seen: Seen) -> None:
    while True:
        for name, request in GOOD.items():
            seen.good[f"{name} {await _exchange(port, request)}"] += 1
            await asyncio.sleep(0.1)


async def _attack(port: int, kinds: Iterable[str], seconds: float) -> None:
    """Send hostile requests for some seconds; print what became of them."""
    made = {kind: HOSTILE[kind]() for kind in kinds}
    seen: Counter[str] = Counter()
    until = time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < until:
            kind = random.choice(list(made))
            # A request that never ends has no answer; its client leaves.
            patience = 1 if kind in _ENDLESS else 30
            seen[f"{kind} {await _exchange(port, made[kind], patience)}"] += 1

    await asyncio.gather(*(client() for _ in range(HOSTILE_CLIENTS)))
    print(json.dumps(seen))


# The run.


@dataclass
class Gateway:
    """The service under attack."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def rss(self) -> int:
        """Resident memory, in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """How many are open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


@contextlib.asynccontextmanager
async def _gateway(directory: Path, vendor: int) -> AsyncIterator[Gateway]:
    config, log = directory / "config.yaml", directory / "log"
    config.write_text(_CONFIG.format(key=KEY, port=vendor))
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    command += ["-n", "--pidfile=", "ampproxy", "--config", str(config)]
    environ = {**os.environ, "HOME": str(directory), "XDG_STATE_HOME": "", "STATE_DIRECTORY": ""}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=directory, env=environ)
    try:
        while "Listening on 127.0.0.1:" not in (text := log.read_text(errors="replace")):
            if process.poll() is not None:
                raise SystemExit(text)
            await asyncio.sleep(0.05)
        yield Gateway(process, log, int(text.partition("Listening on 127.0.0.1:")[2].split()[0]))
    finally:
        # Its streams are of no more use: the second signal does not wait for them.
        process.terminate()
        time.sleep(0.5)
        process.terminate()
        process.wait(30)


async def attacked(gateway: Gateway, kinds: Iterable[str], seconds: float) -> list[str]:
    """Attack for some seconds; gives what was not as it should be."""
    port, seen = gateway.port, Seen()
    tasks = [
        asyncio.create_task(work) for work in (_stream(port, seen), _health(port, seen), _honest(port, seen))
    ]
    await asyncio.sleep(2)
    before, fds = gateway.rss(), gateway.descriptors()
    # A process of their own: what they cost must not look like a delay of the gateway's.
    command = [sys.executable, "-m", "benchmarks.hostile", "--attack", str(port), "--seconds", str(seconds)]
    command += [word for kind in kinds for word in ("--kind", kind)]
    attackers = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told = asyncio.create_task(attackers.communicate())
    grown: list[int] = []
    while not told.done():
        await asyncio.sleep(0.5)
        grown.append(gateway.rss())
    seen.hostile.update(json.loads(told.result()[0]))
    delays = {"health": list(seen.health), "event": list(seen.events)}
    await asyncio.sleep(10)
    after, fds_after = gateway.rss(), gateway.descriptors()
    await _ended(tasks)
    faults = [
        f"{name}: {worst:.2f} s late at the 99th percentile"
        for name, found in delays.items()
        if (worst := _p99(found)) > DELAY
    ]
    faults += [f"refused: {what} ({count})" for what, count in seen.good.items() if not what.endswith(" 200")]
    # The most that is needed at a time depends on which requests meet. What is kept shows in the least, and
    # at the end. What is kept for the next requests has been taken by the end of the first third.
    third = max(1, len(grown) // 3)
    first, last = min(grown[third:][:third] or grown), min(grown[-third:])
    if last - first > LEFT or after - before > LEFT:
        faults.append(
            f"memory: {before >> 20} MB before, {after >> 20} after;"
            f" at least {first >> 20} in the second third, {last >> 20} in the last"
        )
    if fds_after - fds > LEFT_FDS:
        faults.append(f"descriptors: {fds} before, {fds_after} after")
    if "Traceback" in gateway.log.read_text(errors="replace"):
        faults.append("the log has a traceback")
    print(
        f"  health p99 {_p99(delays['health']) * 1000:.0f} ms, worst {max(delays['health']) * 1000:.0f} ms;"
        f" event p99 {_p99(delays['event']) * 1000:.0f} ms, worst {max(delays['event']) * 1000:.0f} ms;"
        f" RSS {before >> 20} MB, at most {max(grown) >> 20}, at least {first >> 20} in the second third,"
        f" {last >> 20} in the last, {after >> 20} after; fds {fds}, after {fds_after};"
        f" {sum(seen.hostile.values())} hostile, {sum(seen.good.values())} good requests"
    )
    print("   ", ", ".join(f"{what}: {count}" for what, count in sorted(seen.hostile.items())))
    return faults


def _p99(delays: list[float]) -> float:
    return sorted(delays)[int(len(delays) * 0.99)] if delays else float("inf")


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run(kinds: list[str], seconds: float, *, each: bool) -> int:
    """Run it; gives the exit status."""
    vendor, port = await _vendor_process()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        async with _gateway(Path(folder), port) as gateway:
            for group in [[kind] for kind in kinds] if each else [kinds]:
                print(", ".join(group), flush=True)
                found = await attacked(gateway, group, seconds)
                print("\n".join(f"  FAIL {fault}" for fault in found) or "  PASS", flush=True)
                faults += found
    vendor.terminate()
    await vendor.wait()
    return 1 if faults else 0


async def _vendor_process() -> tuple[asyncio.subprocess.Process, int]:
    """The vendor, in a process of its own as the attackers are, and its port."""
    command = [sys.executable, "-m", "benchmarks.hostile", "--vendor"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    return process, int(await process.stdout.readline())


async def _serve_vendor() -> None:
    server = await asyncio.start_server(_vendor, "127.0.0.1", 0, limit=2**27)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--kind", action="append", choices=list(HOSTILE))
    parser.add_argument("--each", action="store_true", help="one kind after the other")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--vendor", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--attack", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        print("\n".join(HOSTILE))
        return 0
    if options.vendor:
        asyncio.run(_serve_vendor())
    if options.attack:
        asyncio.run(_attack(options.attack, options.kind, options.seconds))
        return 0
    return asyncio.run(run(options.kind or list(HOSTILE), options.seconds, each=options.each))


if __name__ == "__main__":
    raise SystemExit(main())
