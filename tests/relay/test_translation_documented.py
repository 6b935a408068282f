"""docs/translation.md says what the code does: each kind of loss, each hint, the table of levels."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from ampproxy import dialects
from ampproxy.adapt import passes
from ampproxy.adapt import settings as settings_pass
from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.target import target_for
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.registry import DIALECTS
from ampproxy.model import loss
from ampproxy.model.events import ChatResponse
from ampproxy.model.loss import OF_ANSWER, OF_REQUEST, LossKind
from ampproxy.model.request import ChatRequest
from ampproxy.model.thinking import BUDGETS
from ampproxy.relay.losses import LOSSES_HEADER, of_answer
from ampproxy.resources.provider import ESTIMATE_HEADER
from tests import strategies

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "translation.md").read_text(encoding="utf-8")

# By import_module, since some packages give a function of the module's name.
codex, stream_renderer = (
    import_module(f"ampproxy.dialects.{name}")
    for name in ("openai_responses.codex", "openai_responses.stream_out")
)
PROFILES = tuple(
    found
    for name in DIALECTS
    for found in vars(import_module(f"{DIALECTS.row(name).module}.profile")).values()
    if isinstance(found, DialectProfile)
)

#: Functions that note a loss -> which argument is its kind.
NOTING = {"losses": 0, "_losses": 0, "Loss": 0, "_lose": 0, "add": 1}
#: Kinds that are not written out where they are noted, by what they are taken from.
TABLES = {
    *settings_pass.FIELDS,
    *(kind for kind, _ in passes.NO_PLACE.values()),
    *(profile.drawing_kind for profile in PROFILES if profile.drawing_kind),
    *(profile.unsigned for profile in PROFILES if profile.unsigned),
    *(profile.vain_thinking for profile in PROFILES if profile.vain_thinking),
    *(f"{kind}_source" for kind in ("image", "document") if any(one.lost_sources for one in PROFILES)),
    *codex.REFUSED,
    *stream_renderer._BENT,
    *loss._PARTS.values(),
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


def written_kinds() -> Iterator[str]:
    """The kinds that the code of passes and dialects writes out."""
    folder = Path(dialects.__file__).parent
    adapt = folder.parent / "adapt"
    for path in (*folder.rglob("*.py"), *adapt.rglob("*.py"), folder.parent / "relay" / "settle.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            at = NOTING.get(name)
            if name == "add" and "losses" not in ast.unparse(node.func):
                continue
            if at is not None and len(node.args) > at and isinstance(node.args[at], ast.Constant):
                yield node.args[at].value  # type: ignore[attr-defined]


def test_every_kind_is_in_the_table() -> None:
    """The kinds of losses are closed: what the code tells is in the table, and all that is there is told."""
    assert {*written_kinds(), *TABLES} == OF_REQUEST.keys() | OF_ANSWER.keys()


def test_kinds_are_words() -> None:
    """No kind is the name of a class: words are joined by underscores."""
    for name in OF_REQUEST.keys() | OF_ANSWER.keys():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    spelled = {name.replace("_", "") for name in OF_REQUEST}
    assert len(spelled) == len(OF_REQUEST)


@pytest.mark.parametrize(("title", "table"), [("Of a request", OF_REQUEST), ("Of an answer", OF_ANSWER)])
def test_the_table_is_the_documentation(title: str, table: Mapping[str, LossKind]) -> None:
    """Each kind stands in the documentation with the same sentence, and marked if it is a hint."""
    told = {}
    for row in section(f"### {title}"):
        hint = table is OF_REQUEST and row[1].strip() == "hint"
        told.update((name, LossKind(name, row[-1].strip(), hint)) for name in named(row[0]))
    assert told == dict(table)


@few
@given(strategies.requests())
def test_no_request_loses_anything_else(request: ChatRequest) -> None:
    """What requests lose on their way to any model is in the table."""
    for name, dialect in DIALECTS.items():
        for model in MODELS:
            losses = dialect.render_request(request, target_for(name, model)).losses
            assert {loss.kind for loss in losses} <= OF_REQUEST.keys()


@few
@given(strategies.responses())
def test_no_answer_loses_anything_else(response: ChatResponse) -> None:
    """What answers lose on their way to any client is in the table."""
    for dialect in DIALECTS.values():
        losses = of_answer(response, dialect, AnswerContext("m", 0, lambda prefix: prefix))
        assert {loss.kind for loss in losses} <= OF_ANSWER.keys()


def test_levels() -> None:
    """The numbers of tokens that levels stand for."""
    told = {named(row[0])[0]: int(row[1]) for row in section("## Thinking suffixes")}
    assert told == BUDGETS


def test_dialects_and_headers() -> None:
    """Every dialect and the names of our headers."""
    assert {named(row[0])[0] for row in section("## What is carried")} == set(DIALECTS)
    assert f"`{LOSSES_HEADER.decode()}: 1`" in TEXT
    assert f"`{ESTIMATE_HEADER.decode()}: tokens`" in TEXT
