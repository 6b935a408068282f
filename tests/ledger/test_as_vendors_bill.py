"""An answer costs what its vendor's table of November 2026 says, from its own bytes to ``ampproxy usage``."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from ampproxy.dialects.registry import DIALECTS
from ampproxy.ledger.entry import beside, entry_of
from ampproxy.ledger.place import Place
from ampproxy.ledger.prices import SHIPPED, PriceBook, read_prices
from ampproxy.ledger.published import Published
from ampproxy.ledger.query import Span, read
from ampproxy.ledger.report import DIMENSIONS, changing, report, sameness
from ampproxy.ledger.store import Store
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.model.events import Usage, UsageReport
from ampproxy.relay.meter import AnswerMeter
from tests.ledger.samples import SECOND, moment, record

NOVEMBER, DECEMBER = moment("2026-11-29T12:00:00"), moment("2026-12-02T12:00:00")
BOOK = PriceBook(None, read_prices(SHIPPED), published=Published())

CLAUDE = {
    "input_tokens": 10_000,
    "cache_read_input_tokens": 200_000,
    "cache_creation_input_tokens": 50_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 20_000, "ephemeral_1h_input_tokens": 30_000},
    "output_tokens": 5_000,
    "service_tier": "standard",
    "speed": "standard",
}
#: (10,000 x 4 + 200,000 x 0.20 + 20,000 x 5 + 30,000 x 8 + 5,000 x 20) / 1e6
CLAUDE_COSTS = 0.52
COMPACTION = {
    "type": "compaction",
    "input_tokens": 150_000,
    "output_tokens": 4_000,
    "cache_read_input_tokens": 0,
    "cache_creation_input_tokens": 1_000,
    "cache_creation": {"ephemeral_1h_input_tokens": 1_000, "ephemeral_5m_input_tokens": 0},
}
ADVICE = {
    **COMPACTION,
    "type": "advisor_message",
    "model": "claude-sonnet-5-5",
    "cache_creation_input_tokens": 0,
}
MESSAGE = {"type": "message", "input_tokens": 60_000, "output_tokens": 1, "cache_read_input_tokens": 0}


def claude(usage: dict, model: str = "claude-opus-5-5") -> tuple[str, str, dict]:
    content = [{"type": "text", "text": "x"}]
    answer = {"id": "m", "type": "message", "role": "assistant", "model": model, "content": content}
    return ANTHROPIC, model, {**answer, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def response(model: str, given: int, cached: int, written: int, made: int, **more) -> tuple[str, str, dict]:
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    usage = {
        "input_tokens": given,
        "input_tokens_details": details,
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": given + made,
    }
    text = {"type": "message", "id": "i", "role": "assistant", "content": [], "status": "completed"}
    answer = {"id": "r", "object": "response", "created_at": 0, "status": "completed", "model": model}
    return RESPONSES, model, {**answer, "output": [text], "usage": usage, **more}


def chat(model: str, given: int, made: int, **more) -> tuple[str, str, dict]:
    usage = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
    answer = {"id": "c", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}
    return CHAT, model, {**answer, "usage": usage, **more}


def gemini(model: str, given: int, cached: int, made: int, thought: int, **more) -> tuple[str, str, dict]:
    usage = {
        "promptTokenCount": given,
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": made,
        "thoughtsTokenCount": thought,
        "totalTokenCount": given + made + thought,
        **more,
    }
    candidate = {"content": {"role": "model", "parts": [{"text": "x"}]}, "finishReason": "STOP"}
    return GEMINI, model, {"candidates": [candidate], "modelVersion": model, "usageMetadata": usage}


def as_events(dialect: str, answer: dict) -> bytes:
    """The answer as the events that end a stream and tell the usage."""
    if dialect == ANTHROPIC:
        start = {"type": "message_start", "message": {**answer, "content": [], "stop_reason": None}}
        delta = {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": answer["usage"],
        }
        events = [start, delta, {"type": "message_stop"}]
        return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)
    if dialect == RESPONSES:
        event = {"type": "response.completed", "sequence_number": 1, "response": answer}
        return f"event: response.completed\ndata: {json.dumps(event)}\n\n".encode()
    if dialect == CHAT:
        delta = {"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}
        chunk = {**answer, "object": "chat.completion.chunk", "choices": [delta]}
        return f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()
    return f"data: {json.dumps(answer)}\n\n".encode()


def usages(dialect: str, answer: dict) -> dict[str, Usage | None]:
    """What is read of it where bytes pass and where they are translated, whole and streamed."""
    spoken, whole, events = DIALECTS[dialect], json.dumps(answer).encode(), as_events(dialect, answer)
    found: dict[str, Usage | None] = {}
    for name, data in (("whole", whole), ("stream", events)):
        meter = AnswerMeter(spoken, stream=name == "stream")
        meter.feed(data)
        found[f"passed, {name}"] = meter.usage()
    found["translated, whole"] = spoken.parse_response(whole).usage
    parser = spoken.stream_parser()
    told = [event.usage for event in (*parser.feed(events), *parser.end()) if type(event) is UsageReport]
    found["translated, stream"] = told[-1]
    return found


def cost(tmp_path, model: str, usage: Usage | None, at: int = NOVEMBER) -> float:
    """What the report says of one exchange with that usage."""
    ended = record(asked=model, served=model, usage=usage)
    kept = entry_of(ended, at / SECOND)
    store = Store(tmp_path / "ledger.sqlite3")
    store.write([kept, *beside(kept, usage)])
    store.close()
    with closing(Place(store.path).open()) as opened:
        same = sameness("model", BOOK)
        lines = read(opened, Span(), DIMENSIONS["model"].read, same, changing(BOOK)).lines
    total = report(lines, "model", BOOK).total.cost
    store.path.unlink()
    assert not total.missing
    return total.amount


@pytest.mark.parametrize(
    ("answer", "dollars"),
    [
        pytest.param(claude(CLAUDE), CLAUDE_COSTS, id="an-hour"),
        pytest.param(claude({**CLAUDE, "speed": "fast"}), 2 * CLAUDE_COSTS, id="fast"),
        pytest.param(claude({**CLAUDE, "service_tier": "batch"}), CLAUDE_COSTS / 2, id="batch"),
        pytest.param(claude({**CLAUDE, "service_tier": "priority"}), CLAUDE_COSTS, id="prepaid"),
        # 150,000 x 4 + 1,000 x 8 + 4,000 x 20
        pytest.param(
            claude({**CLAUDE, "iterations": [MESSAGE, COMPACTION]}), CLAUDE_COSTS + 0.688, id="compaction"
        ),
        # 150,000 x 2 + 4,000 x 10
        pytest.param(claude({**CLAUDE, "iterations": [MESSAGE, ADVICE]}), CLAUDE_COSTS + 0.34, id="advice"),
        # Haiku 5.5 costs five times as much above 100,000 tokens of one prompt.
        pytest.param(
            claude({"input_tokens": 120_000, "output_tokens": 0}, "claude-haiku-5-5"), 0.06, id="long-claude"
        ),
        pytest.param(
            claude(
                {"input_tokens": 120_000, "output_tokens": 0, "iterations": [MESSAGE, MESSAGE]},
                "claude-haiku-5-5",
            ),
            0.012,
            id="two-short-prompts",
        ),
        # (50,000 x 2 + 200,000 x 0.10 + 20,000 x 2.50 + 5,000 x 10) / 1e6
        pytest.param(response("gpt-6.2-sol", 270_000, 200_000, 20_000, 5_000), 0.22, id="gpt"),
        # 80,000 x 4 + 200,000 x 0.20 + 20,000 x 5 + 5,000 x 15
        pytest.param(response("gpt-6.2-sol", 300_000, 200_000, 20_000, 5_000), 0.535, id="long-gpt"),
        pytest.param(
            response("gpt-6.2-sol", 270_000, 200_000, 20_000, 5_000, service_tier="priority"),
            0.44,
            id="fast-gpt",
        ),
        pytest.param(
            response("gpt-6.2-sol", 270_000, 200_000, 20_000, 5_000, service_tier="default"), 0.22, id="usual"
        ),
        # 272,000 is not yet long: 272,000 x 8 + 1,000 x 40
        pytest.param(response("gpt-6.2-astra", 272_000, 0, 0, 1_000), 2.216, id="astra"),
        pytest.param(response("gpt-6.2-astra", 272_001, 0, 0, 1_000), 4.412016, id="long-astra"),
        pytest.param(chat("gpt-6.1-sol", 100_000, 1_000), 0.21, id="chat"),
        pytest.param(chat("gpt-6.1-sol", 100_000, 1_000, service_tier="flex"), 0.105, id="flex"),
        # Gemini 4 has one price at any length: 100,000 x 2 + 400,000 x 0.10 + (2,000 + 3,000) x 10
        pytest.param(gemini("gemini-4-argon", 500_000, 400_000, 2_000, 3_000), 0.29, id="long-gemini"),
        # 100,000 x 3 + 400,000 x 0.15 + 5,000 x 15
        pytest.param(gemini("gemini-4-neon", 500_000, 400_000, 2_000, 3_000), 0.435, id="long-neon"),
        pytest.param(
            gemini("gemini-4-neon", 500_000, 400_000, 2_000, 3_000, serviceTier="PRIORITY"),
            0.783,
            id="priority",
        ),
        pytest.param(
            gemini("gemini-4-neon", 500_000, 400_000, 2_000, 3_000, trafficType="ON_DEMAND_FLEX"),
            0.2175,
            id="flex-at-vertex",
        ),
        # Above 200,000 tokens: 100,000 x 4 + 400,000 x 0.40 + 5,000 x 18
        pytest.param(
            gemini("gemini-3.1-pro-preview", 500_000, 400_000, 2_000, 3_000), 0.65, id="long-gemini-3"
        ),
    ],
)
def test_what_an_answer_costs(tmp_path, answer, dollars):
    """However it was read: passed on or translated, whole or as a stream."""
    dialect, model, body = answer
    costs = {way: cost(tmp_path, model, usage) for way, usage in usages(dialect, body).items()}
    assert costs == {way: pytest.approx(dollars) for way in costs}


def test_a_price_that_changes(tmp_path):
    """What was used before the day costs what it cost then, also where both are one line."""
    _, model, body = gemini("gemini-4-argon", 100_000, 0, 0, 1_000)
    usage = DIALECTS[GEMINI].parse_response(json.dumps(body).encode()).usage
    assert cost(tmp_path, model, usage, NOVEMBER) == pytest.approx(0.21)
    assert cost(tmp_path, model, usage, DECEMBER) == pytest.approx(0.42)
    store = Store(tmp_path / "ledger.sqlite3")
    store.write(
        entry_of(record(asked=model, served=model, usage=usage), at / SECOND) for at in (NOVEMBER, DECEMBER)
    )
    store.close()
    for by in DIMENSIONS:
        for span in (Span(), Span(NOVEMBER, DECEMBER + 1), Span(NOVEMBER - SECOND, None)):
            with closing(Place(store.path).open()) as opened:
                lines = read(opened, span, DIMENSIONS[by].read, sameness(by, BOOK), changing(BOOK)).lines
            found = report(lines, by, BOOK)
            assert found.total.cost.amount == pytest.approx(0.63), (by, span)
            assert len(found.groups) == (2 if by == "day" else 1)


def test_a_vendors_strange_words_cost_nothing_more():
    """What cannot be read of the bill's details leaves the counts as they are."""
    strange = {**CLAUDE, "cache_creation": [1], "iterations": {"type": 3}, "speed": 7, "service_tier": None}
    _, _, body = claude(strange)
    for usage in usages(ANTHROPIC, body).values():
        counts = usage.input, usage.cache_read, usage.cache_write, usage.output
        assert counts == (10_000, 200_000, 50_000, 5_000)
        assert (usage.cache_write_1h, usage.tier, usage.beside, usage.longest) == (0, "", (), 0)


def test_the_bill_counts_all(tmp_path):
    """A limit in tokens counts what is billed beside the answer, too."""
    _, _, body = claude({**CLAUDE, "iterations": [MESSAGE, COMPACTION, ADVICE]})
    for usage in usages(ANTHROPIC, body).values():
        assert usage.total == 265_000 + 155_000 + 154_000
