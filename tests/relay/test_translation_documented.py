"""docs/translation.md says what the code does: each kind of loss, each hint, the table of levels."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from ampproxy import dialects
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.registry import DIALECTS
from ampproxy.dialects.targets import target_for
from ampproxy.model.events import ChatResponse
from ampproxy.model.request import ChatRequest
from ampproxy.model.thinking import BUDGETS
from ampproxy.relay.losses import HINTS, LOSSES_HEADER, of_answer
from ampproxy.resources.provider import ESTIMATE_HEADER
from tests import strategies

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "translation.md").read_text(encoding="utf-8")

# By import_module, since some packages give a function of the module's name.
anthropic, gemini, chat, completions, responses, codex, stream_renderer = (
    import_module(f"ampproxy.dialects.{name}")
    for name in (
        "anthropic.render",
        "gemini.render_request",
        "openai_chat.render_request",
        "openai_completions.render_request",
        "openai_responses.render_request",
        "openai_responses.codex",
        "openai_responses.stream_renderer",
    )
)

#: Functions that note a loss -> which argument is its kind.
NOTING = {"losses": 0, "_losses": 0, "Loss": 0, "_lose": 0, "add": 1}
#: Kinds that are not written out where they are noted, by what they are taken from.
TABLES = {
    *(path.rpartition(".")[2] for path in anthropic._UNSAID),
    *("temperature", "top_p", "top_k"),
    *(kind for _, kind, _ in gemini._UNSAID),
    *chat._DRAWING.values(),
    *completions._UNSAYABLE,
    *responses._NO_PLACE,
    *codex.REFUSED,
    *stream_renderer._BENT,
    # Names of parts.
    *("image", "document", "audio", "reasoning", "refusal", "opaque", "toolcall", "toolresult"),
}
MODELS = ("claude-opus-4-5", "claude-opus-4-7", "gpt-5.1", "gemini-2.5-pro", "gemini-3-pro-preview", "m")
few = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def section(title: str) -> list[list[str]]:
    """The rows of the table below a heading, as their cells."""
    body = TEXT.partition(f"\n{title}\n")[2]
    body = re.split(r"\n#+ ", body)[0]
    rows = [line.strip("|").split("|") for line in body.split("\n") if line.startswith("| `")]
    assert rows, title
    return rows


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


OF_REQUEST = {kind for row in section("### Of a request") for kind in named(row[0])}
OF_ANSWER = {kind for row in section("### Of an answer") for kind in named(row[0])}


def written_kinds() -> Iterator[str]:
    """The kinds that the dialects' code writes out."""
    for path in Path(dialects.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            at = NOTING.get(name)
            if name == "add" and "losses" not in ast.unparse(node.func):
                continue
            if at is not None and len(node.args) > at and isinstance(node.args[at], ast.Constant):
                yield node.args[at].value  # type: ignore[attr-defined]


def test_every_kind_is_documented() -> None:
    """A kind of loss that a user may meet stands in a table; none that the code never tells does."""
    known = {*written_kinds(), *TABLES}
    assert known - OF_REQUEST - OF_ANSWER == set()
    assert (OF_REQUEST | OF_ANSWER) - known == set()


@few
@given(strategies.requests())
def test_no_request_loses_anything_else(request: ChatRequest) -> None:
    """What requests lose on their way to any model is in the table."""
    for name, dialect in DIALECTS.items():
        for model in MODELS:
            losses = dialect.render_request(request, target_for(name, model)).losses
            assert {loss.kind for loss in losses} <= OF_REQUEST


@few
@given(strategies.responses())
def test_no_answer_loses_anything_else(response: ChatResponse) -> None:
    """What answers lose on their way to any client is in the table."""
    for dialect in DIALECTS.values():
        losses = of_answer(response, dialect, AnswerContext("m", 0, lambda prefix: prefix))
        assert {loss.kind for loss in losses} <= OF_ANSWER


def test_hints() -> None:
    """The kinds that strict mode lets pass are marked as hints."""
    marked = {
        kind for row in section("### Of a request") if row[1].strip() == "hint" for kind in named(row[0])
    }
    assert marked == HINTS


def test_levels() -> None:
    """The numbers of tokens that levels stand for."""
    told = {named(row[0])[0]: int(row[1]) for row in section("## Thinking suffixes")}
    assert told == BUDGETS


def test_dialects_and_headers() -> None:
    """Every dialect and the names of our headers."""
    assert {named(row[0])[0] for row in section("## What is carried")} == set(DIALECTS)
    assert f"`{LOSSES_HEADER.decode()}: 1`" in TEXT
    assert f"`{ESTIMATE_HEADER.decode()}: tokens`" in TEXT
