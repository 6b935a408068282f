"""Hypothesis strategies over the vocabulary, for the tests of every dialect."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from ampproxy.model.base import Json
from ampproxy.model.events import (
    Candidate,
    ChatResponse,
    Delta,
    Event,
    Finished,
    PartClosed,
    PartSigned,
    PartStarted,
    Started,
    Usage,
)
from ampproxy.model.fold import unfold
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Opaque,
    Reasoning,
    Refusal,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import (
    LEVELS,
    ChatRequest,
    HostedTool,
    OutputFormat,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
)

VENDORS = ("anthropic", "openai-responses", "gemini")

#: Words that break careless code: blanks, quotes, line ends of text readers, halves of JSON, no ASCII.
texts = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "hi",
            'a "quoted" word',
            "\u2028\u2029\x85\x0b",
            "data: x\n\n",
            "\\ud83d",
            "😀",
            "{",
            "é\x00",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
words = texts.filter(lambda text: bool(text.strip()))
names = st.sampled_from(["Bash", "read_file", "mcp__x__y", "get.weather", "naïve tool", "a" * 140, "Grep"])
ids = st.sampled_from(["toolu_01", "call_abc", "functions.Bash:0", "c" * 90, "call_2"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from(["cmd", "path", "n"]), values, max_size=3)
arguments = objects.map(json.dumps)


def raws(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Values as uninterpreted JSON."""
    return strategy.map(lambda value: Json(json.dumps(value).encode()))


seals = st.builds(
    Signature,
    st.sampled_from(VENDORS),
    st.sampled_from(["c2VhbA==", "EqoBCkgIARAB", "gAAAAA-_x", "AbCd"]),
    st.sampled_from([None, "rs_1"]),
)
sources = st.one_of(
    st.sampled_from(
        [
            Inline("image/png", "iVBORw0KGgo="),
            Inline("application/pdf", "JVBERi0="),
            Inline("text/plain", "aGk="),
            Inline("application/zip", "UEsDBA=="),
        ]
    ),
    st.builds(Link, st.sampled_from(["https://example.com/a.png", "gs://bucket/x"])),
    st.builds(FileId, st.sampled_from(VENDORS), st.just("file_1")),
)
reasonings = st.one_of(
    st.builds(Reasoning, words, st.none() | seals),
    st.builds(Reasoning, st.just(""), seals, st.just(True)),
)
calls = st.builds(
    ToolCall, ids, names, arguments, signature=st.none() | seals.filter(lambda s: s.vendor == "gemini")
)
inner_parts = st.one_of(st.builds(Text, texts), st.builds(Image, sources))
results = st.builds(ToolResult, ids, st.lists(inner_parts, max_size=2).map(tuple), st.booleans())
opaques = st.builds(
    Opaque,
    st.sampled_from(VENDORS),
    st.just("server_tool_use"),
    st.just(Json(b'{"type":"server_tool_use","id":"s","name":"web_search","input":{}}')),
)
user_parts = st.one_of(
    st.builds(Text, texts),
    st.builds(Image, sources, st.sampled_from([None, "low", "auto"])),
    st.builds(Document, sources, name=st.sampled_from([None, "a.pdf"])),
    st.builds(Document, st.none(), words),
    st.builds(Audio, st.builds(Inline, st.just("audio/wav"), st.just("aGk=")), st.none() | words),
    results,
)
assistant_parts = st.one_of(st.builds(Text, texts), reasonings, calls, st.builds(Refusal, words), opaques)
turns = st.one_of(
    st.builds(Turn, st.just("user"), st.lists(user_parts, max_size=4).map(tuple)),
    st.builds(Turn, st.just("assistant"), st.lists(assistant_parts, max_size=4).map(tuple)),
    st.builds(Turn, st.just("system"), st.lists(st.builds(Text, words), max_size=1).map(tuple)),
)
schemas = raws(
    st.sampled_from(
        [
            {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]},
            {"anyOf": [{"type": "object"}, {"type": "object", "properties": {}}]},
            {"properties": {}},
            {},
        ]
    )
)
tools = st.builds(
    Tool,
    names,
    st.none() | words,
    st.none() | schemas,
    st.sampled_from([None, True, False]),
    st.booleans(),
)
choices = st.one_of(
    st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"])),
    st.builds(ToolChoice, st.just("named"), names),
    st.builds(ToolChoice, st.just("auto"), allowed=st.just(("Bash",))),
)
thinkings = st.one_of(
    st.just(Thinking("off")),
    st.builds(Thinking, st.just("auto"), show=st.sampled_from([None, True, False])),
    st.builds(Thinking, st.just("budget"), st.sampled_from([128, 1024, 4000, 200_000])),
    st.builds(Thinking, st.just("level"), level=st.sampled_from(LEVELS), show=st.sampled_from([None, True])),
)
samplings = st.builds(
    Sampling,
    max_tokens=st.sampled_from([None, 1, 16, 4096, 64_000]),
    temperature=st.sampled_from([None, 0.0, 0.7, 1.0, 2.0]),
    top_p=st.sampled_from([None, 0.9, 1.0]),
    top_k=st.sampled_from([None, 40]),
    stop=st.sampled_from([(), ("END",), ("a", "b", "c", "d", "e", "f"), (" ",)]),
    seed=st.sampled_from([None, 0, 7]),
    presence_penalty=st.sampled_from([None, 0.5]),
    candidates=st.sampled_from([None, 1, 2]),
)


@st.composite
def requests(draw: st.DrawFn, dialect: str = "test") -> ChatRequest:
    """Any request, as wild as a parser may give one: pairing of calls and results is not kept.

    :param dialect: the dialect that it claims to be from.
    """
    return ChatRequest(
        dialect=dialect,
        model="model-1",
        turns=tuple(draw(st.lists(turns, max_size=5))),
        system=tuple(draw(st.lists(st.builds(Text, texts), max_size=2))),
        tools=tuple(draw(st.lists(tools, max_size=3, unique_by=lambda tool: tool.name))),
        hosted=tuple(
            draw(
                st.lists(
                    st.builds(
                        HostedTool,
                        st.sampled_from(["web_search", "code_execution", "computer"]),
                        st.just("test"),
                        st.just(Json(b"{}")),
                    ),
                    max_size=1,
                )
            )
        ),
        choice=draw(st.none() | choices),
        parallel=draw(st.sampled_from([None, True, False])),
        sampling=draw(samplings),
        thinking=draw(st.none() | thinkings),
        output=draw(
            st.sampled_from(
                [None, OutputFormat("json"), OutputFormat("schema", Json(b'{"type":"object"}'), "x")]
            )
        ),
        stream=draw(st.booleans()),
        user=draw(st.sampled_from([None, "user-1"])),
        metadata=draw(st.sampled_from([{}, {"k": "v"}])),
        service_tier=draw(st.sampled_from([None, "auto", "flex"])),
        cache_key=draw(st.sampled_from([None, "thread-1"])),
    )


usages = st.builds(Usage, *[st.integers(0, 10**6)] * 4)
finishes = st.builds(Finished, st.sampled_from(["stop", "length", "tool_calls", "refusal"]))
answer_parts = st.one_of(
    st.builds(Text, words),
    st.builds(Reasoning, words, st.none() | seals),
    st.builds(ToolCall, ids, st.sampled_from(["Bash", "Grep"]), arguments),
)


@st.composite
def responses(draw: st.DrawFn) -> ChatResponse:
    """A whole answer with one candidate that says something sound."""
    parts = tuple(draw(st.lists(answer_parts, max_size=4, unique_by=_identity)))
    return ChatResponse(
        id="id_1", model="model-1", candidates=(Candidate(parts, draw(finishes)),), usage=draw(usages)
    )


def _identity(part: Any) -> Any:
    """No id twice in an answer."""
    return part.id if isinstance(part, ToolCall) else object()


@st.composite
def event_streams(draw: st.DrawFn) -> list[Event]:
    """Events of one answer, in order; texts cut into deltas at random."""
    events: list[Event] = []
    for event in unfold(draw(responses())):
        if isinstance(event, Delta) and len(event.text) > 1:
            at = draw(st.integers(0, len(event.text)))
            events += [Delta(event.index, event.text[:at]), Delta(event.index, event.text[at:])]
        else:
            events.append(event)
    return events


@st.composite
def interleaved_streams(draw: st.DrawFn) -> list[Event]:
    """Events of one answer whose parts overlap, as chat's parallel calls may."""
    response = draw(responses())
    lanes: list[list[Event]] = []
    ends: list[Event] = []
    for event in unfold(response):
        if isinstance(event, PartStarted):
            lanes.append([event])
        elif isinstance(event, Delta | PartSigned | PartClosed):
            lanes[-1].append(event)
        elif not isinstance(event, Started):
            ends.append(event)
    out: list[Event] = [Started(response.id, response.model)]
    opened = 0
    while any(lanes):
        # Parts open in order; what goes on next is anybody's.
        ready = [lane for number, lane in enumerate(lanes) if lane and number <= opened]
        lane = draw(st.sampled_from(ready))
        event = lane.pop(0)
        opened += isinstance(event, PartStarted)
        out.append(event)
    return [*out, *ends]


__all__ = [
    "event_streams",
    "interleaved_streams",
    "requests",
    "responses",
    "seals",
]
