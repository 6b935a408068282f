"""SDKs of other languages than Python through the gateway, each at every account: plain and streamed
answers, tool loops, thinking that goes back, and errors; with ``AMPPROXY_SDKS=1``.

A program of each language takes jobs and reports what its SDKs understood (:mod:`tests.sdks.programs` builds
it). Some of the SDKs refuse what their vendor would not send: they judge what the gateway renders.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.interop.backends import BACKENDS, PROVERS, THINKERS, answered, proofs, results
from tests.running import CLIENT_KEY, SECRETS, World, start_world
from tests.sdks.programs import LANGUAGES, build

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not os.environ.get("AMPPROXY_SDKS"), reason="AMPPROXY_SDKS=1 runs these"),
]

#: Seconds for all jobs of a language.
_TIMEOUT = 600
ARGUMENTS = {"path": 'Grüße "quoted" \\back\\slash\ttab'}
TOOLS = f"please use the tools Read and Grep with {json.dumps(ARGUMENTS, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Client:
    """A client of an SDK, and what it is known not to do.

    :param name: as its program knows it; its end is the dialect, unless it is given.
    :param thinks: it takes a wish for thinking, and shows it.
    :param proves: it gives thinking back with its proof.
    :param chats: its dialect is Chat Completions, which has no words to ask for the text of thinking: it is
        shown what is sent unasked.
    :param excused: backends and cases in which it fails at its own vendor, too.
    """

    name: str
    thinks: bool = True
    proves: bool = True
    chats: bool = False
    excused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One job of each client at each account.

    :param fault: what the model's name asks the mock vendor to do.
    """

    name: str
    stream: bool = False
    tools: bool = False
    thinking: bool = False
    fault: str = ""


CASES = {
    case.name: case
    for case in (
        Case("whole"),
        Case("streamed", stream=True),
        Case("tools", tools=True),
        Case("tools streamed", stream=True, tools=True),
        Case("thinking", tools=True, thinking=True),
        Case("thinking streamed", stream=True, tools=True, thinking=True),
        Case("rate limit", fault="status=429+retry_after=7"),
        Case("rate limit streamed", stream=True, fault="status=429+retry_after=7"),
        Case("overload", fault="status=529"),
        Case("refused", fault="status=400"),
        Case("error in the stream", stream=True, fault="error=3"),
        Case("cut", stream=True, fault="cut=3"),
        Case("early end", stream=True, fault="end=3"),
    )
}


_VENDORS = (
    Client("anthropic"),
    Client("openai-chat", proves=False, chats=True),
    Client("openai-responses"),
    Client("gemini"),
)
#: LangChain takes the tokens of the prompt from a stream's first event, which other vendors report last.
_LATE_USAGE = tuple(
    (backend, case)
    for backend in ("openai-chat", "openai-responses", "compatible")
    for case in ("streamed", "tools streamed", "thinking streamed")
)
#: async-openai waits by itself, three times for as long as it is told to: too long for a test.
_WAITS = tuple((backend, case) for backend in BACKENDS for case in ("rate limit", "rate limit streamed"))
CLIENTS: dict[str, tuple[Client, ...]] = {
    "javascript": (
        *_VENDORS,
        Client("ai-anthropic"),
        # Its second request refers to the first answer by ids, for which the gateway keeps texts and calls.
        Client("ai-openai", proves=False),
        Client("ai-openai-unstored"),
        Client("ai-openai-chat", thinks=False, proves=False),
        Client("ai-compatible", proves=False, chats=True),
        Client("ai-google"),
        Client("langchain-anthropic", excused=_LATE_USAGE),
        Client("langchain-openai", thinks=False, proves=False),
        # It asks for thinking by the names of models that it knows, and overlooks an error event.
        Client("langchain-responses", thinks=False, excused=(("openai-responses", "error in the stream"),)),
        # It puts each result into a turn of its own, which Gemini refuses, and overlooks an error object.
        Client(
            "langchain-gemini",
            thinks=False,
            excused=(("gemini", "tools"), ("gemini", "tools streamed"), ("gemini", "error in the stream")),
        ),
    ),
    "go": _VENDORS,
    "java": (
        *_VENDORS,
        Client("langchain4j-anthropic"),
        Client("langchain4j-openai-chat", proves=False, chats=True),
        Client("langchain4j-responses", thinks=False),
        # It puts each result into a turn of its own, too, and gives no proof back but that of a call.
        Client(
            "langchain4j-gemini",
            proves=False,
            excused=tuple(("gemini", case) for case in CASES if "tools" in case or "thinking" in case),
        ),
    ),
    "rust": (
        Client("async-openai-chat", thinks=False, proves=False, excused=_WAITS),
        Client("async-openai-responses", excused=_WAITS),
        Client("genai-anthropic"),
        Client("genai-openai-chat", proves=False, chats=True),
        # It gives a proof back without the text that Anthropic wants beside it; to Gemini, that of a call.
        Client("genai-responses", proves=False),
        Client("genai-gemini", proves=False),
    ),
}
CELLS = [(language, client) for language, clients in CLIENTS.items() for client in clients]


@dataclass(frozen=True, slots=True)
class Job:
    """One conversation.

    :ivar prompt: with a mark of its own, by which its requests are found at the mock vendor.
    """

    id: int
    client: Client
    backend: str
    case: Case

    @property
    def model(self) -> str:
        name = BACKENDS[self.backend]
        return f"{name}+{self.case.fault}" if self.case.fault else name

    @property
    def mark(self) -> str:
        return f"job {self.id};"

    @property
    def prompt(self) -> str:
        return f"{self.mark} {TOOLS if self.case.tools else 'Good day ✓'}"

    def line(self, base: str) -> str:
        """The job as the program takes it."""
        told = {
            "id": self.id,
            "client": self.client.name,
            "base": base,
            "key": CLIENT_KEY,
            "model": self.model,
            "prompt": self.prompt,
            "stream": self.case.stream,
            "tools": self.case.tools,
            "thinking": self.case.thinking,
        }
        return json.dumps(told) + "\n"


def jobs(clients: tuple[Client, ...]) -> list[Job]:
    """All that a language has to do."""
    cells = [(client, backend, case) for client in clients for backend in BACKENDS for case in CASES.values()]
    return [Job(number, *cell) for number, cell in enumerate(cells) if _wanted(*cell)]


def _wanted(client: Client, backend: str, case: Case) -> bool:
    """Whether there is such a job: a model that does not think refuses the wish in its own dialect."""
    if (backend, case.name) in client.excused:
        return False
    return not case.thinking or (client.thinks and not (client.chats and backend == "openai-chat"))


@dataclass(frozen=True, slots=True)
class Done:
    """What became of all jobs of a language: by job, and what was asked of the mock vendors by its mark."""

    results: dict[int, dict[str, Any]]
    asked: dict[str, list[Any]]
    errors: str


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = start_world()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def done(world: World) -> Callable[[str], Done]:
    """Run a language's jobs, once."""
    kept: dict[str, Done] = {}

    def run(name: str) -> Done:
        if name not in kept:
            kept[name] = _run(name, world)
        return kept[name]

    return run


def _run(name: str, world: World) -> Done:
    language = LANGUAGES[name]
    if language.lacking:
        pytest.skip(f"this machine lacks {language.lacking}")
    assert not (why := build(language)), why
    for vendor in world.vendors.values():
        vendor.requests.clear()
    told = subprocess.run(
        language.run,
        cwd=language.folder,
        env=language.variables,
        input="".join(job.line(world.url) for job in jobs(CLIENTS[name])),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    found = {one["id"]: one for line in told.stdout.splitlines() if (one := json.loads(line))}
    asked = {backend: [one.json for one in vendor.requests] for backend, vendor in world.vendors.items()}
    return Done(found, asked, told.stderr[-3000:])


@pytest.mark.parametrize(("language", "client"), CELLS, ids=[f"{one}-{two.name}" for one, two in CELLS])
def test_client(done: Callable[[str], Done], world: World, language: str, client: Client) -> None:
    """The SDK understands every answer as its own vendor's; an error is an error for it."""
    ran = done(language)
    wrong = []
    for job in jobs(CLIENTS[language]):
        if job.client is not client:
            continue
        found = ran.results.get(job.id)
        why = ["no result"] if found is None else list(judge(job, found, ran))
        wrong += [f"{job.backend}, {job.case.name}: {one}: {json.dumps(found)[:400]}" for one in why]
    assert not wrong, "\n".join([*wrong, ran.errors])
    assert not [line for line in world.log if "Traceback" in line or "Unhandled" in line]


def judge(job: Job, found: dict[str, Any], ran: Done) -> Iterator[str]:
    """What is wrong with a result."""
    if any(secret in json.dumps(found) for secret in SECRETS):
        yield "a secret"
    if bool(job.case.fault) is not ("error" in found):
        yield "no error" if job.case.fault else "an error"
        return
    if job.case.fault:
        return
    if job.case.tools:
        yield from judge_tools(job, found, ran)
    elif found["text"] != f"{BACKENDS[job.backend]} answers: {job.prompt}":
        yield "another text"
    if not found["input"] or not found["output"]:
        yield "no usage"
    if job.case.stream and not job.case.tools and found["pieces"] < 2:
        yield "in one piece"


def judge_tools(job: Job, found: dict[str, Any], ran: Done) -> Iterator[str]:
    """Both tools were called, exactly, and the vendor got their results; with thinking also its proof."""
    names = ("Read", "Grep")
    if found["calls"] != [{"name": name, "arguments": ARGUMENTS} for name in names]:
        yield "other calls"
    if not found["text"].startswith(f"{BACKENDS[job.backend]} read: "):
        yield "another text"
    bodies = [body for body in ran.asked[job.backend] if job.mark in json.dumps(body)]
    if len(bodies) != 2:
        yield f"{len(bodies)} requests"
        return
    got = answered(job.backend, bodies[1])
    if [row[:2] for row in got] != [(name, ARGUMENTS) for name in names]:
        yield f"the vendor got the calls {got}"
    raw = [json.dumps(one) for one in results(job.backend, bodies[1])]
    if not all(f"result of {name}" in text for name, text in zip(names, raw, strict=False)):
        yield f"the vendor got the results {raw}"
    if job.case.thinking:
        yield from judge_thinking(job, found, bodies[1])


def judge_thinking(job: Job, found: dict[str, Any], body: Any) -> Iterator[str]:
    """Where the vendor has some, it is shown, and its proof went back."""
    if job.backend not in THINKERS:
        return
    silent = job.client.chats and job.backend in ("openai-responses", "gemini")
    if ("Thinking about" in found["thinking"]) is silent:
        yield "unasked thinking" if silent else "no thinking"
    if job.client.proves and job.backend in PROVERS and not proofs(job.backend, body):
        yield "no proof"
