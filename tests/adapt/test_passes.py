"""The passes over a request, in the order in which a renderer's request goes through them."""

from __future__ import annotations

from typing import Any

import pytest

from ampproxy.adapt.conversation import settle_turns
from ampproxy.adapt.parts import fit_parts
from ampproxy.adapt.passes import adapt
from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.settings import fit_account, fit_ends, fit_sampling
from ampproxy.adapt.target import Target
from ampproxy.adapt.tools import fit_output, fit_tools
from ampproxy.dialects.anthropic.profile import PROFILE as MESSAGES
from ampproxy.dialects.gemini.profile import PROFILE as GEMINI
from ampproxy.dialects.openai_chat.profile import profile_of
from ampproxy.dialects.openai_responses.profile import PROFILE as RESPONSES
from ampproxy.model.base import Json
from ampproxy.model.loss import Losses
from ampproxy.model.parts import FileId, Image, Text, ToolCall, ToolResult
from ampproxy.model.request import ChatRequest, Sampling, Tool, ToolChoice, Turn

TARGET = Target("model-1")
SCHEMA = Json(b'{"type":"object","properties":{}}')
PROFILES = {profile.dialect: profile for profile in (MESSAGES, GEMINI, RESPONSES, profile_of(TARGET, "test"))}
#: What every vendor takes as it is.
CLEAN = ChatRequest(
    dialect="test",
    model="asked",
    system=(Text("Be brief."),),
    turns=(
        Turn("user", (Text("go"),)),
        Turn("assistant", (Text("ok"), ToolCall("call_1", "bash", '{"x":1}'))),
        Turn("user", (ToolResult("call_1", (Text("done"),), name="bash"),)),
        Turn("assistant", (Text("It is done."),)),
        Turn("user", (Text("thanks"),)),
    ),
    tools=(Tool("bash", schema=SCHEMA, strict=False),),
    choice=ToolChoice("auto"),
    sampling=Sampling(max_tokens=2000, temperature=0.5),
)


def harmless(dialect: str, name: str, raw: Json) -> bool:
    """No member of the made dialect is."""
    return False


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_what_is_taken_stays_the_same_object(profile: DialectProfile) -> None:
    """A request that needs nothing is not copied by any pass, and loses nothing."""
    losses = Losses()
    for one in (fit_parts, settle_turns, fit_ends, fit_sampling, fit_output):
        assert one(CLEAN, profile, TARGET, losses) is CLEAN, one
    assert fit_account(CLEAN, profile, losses) is CLEAN
    fitted = fit_tools(CLEAN, profile, TARGET, losses)
    # Where no schema is enforced, not even the wish for none is sent.
    assert fitted is CLEAN or fitted.tools[0].strict is None
    assert losses.all() == ()


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_losses_name_the_clients_own_places(profile: DialectProfile) -> None:
    """A part that is left out does not move the numbers of those after it."""
    lost = Turn("user", (Image(FileId("elsewhere", "f")), ToolResult("gone", (Text("words"),)), Text("go")))
    request = ChatRequest(dialect="test", model="asked", turns=(lost,))
    losses = Losses()
    out = adapt(request, profile, TARGET, losses, harmless).request
    found: dict[str, Any] = {loss.path: loss.kind for loss in losses}
    assert found.keys() == {"turns[0].parts[0]", "turns[0].parts[1]"}
    assert found["turns[0].parts[1]"] == "orphan_result"
    assert [type(part) for turn in out.turns for part in turn.parts] == [Text, Text]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_results_follow_their_calls(profile: DialectProfile) -> None:
    """Whatever the vendor, a call is answered right after its turn, and what was never answered is, too."""
    calls = Turn("assistant", (ToolCall("a", "one", "{}"), ToolCall("b", "two", "{}")))
    late = Turn("user", (Text("wait"), ToolResult("b", (Text("B"),))))
    request = ChatRequest(dialect="test", model="asked", turns=(Turn("user", (Text("go"),)), calls, late))
    losses = Losses()
    out = settle_turns(request, profile, TARGET, losses)
    after = [part for turn in out.turns[2:] for part in turn.parts]
    assert {part.call for part in after[:2] if isinstance(part, ToolResult)} == {"a", "b"}
    assert after[2:] == [Text("wait")]
    assert {loss.kind for loss in losses} == {"unanswered_call"}


TALK = (
    Turn("user", (Text("go"), Text("on"))),
    Turn("assistant", (Text("ok  "),)),
    Turn("user", (Text("so"),)),
)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize(
    "turns",
    [
        TALK,
        TALK[:1],
        TALK[:2],
        TALK[1:],
        (TALK[0], *TALK),
        (*TALK, Turn("system", (Text("be"),))),
        (*TALK[:2], Turn("user", ())),
        (*TALK[:2], Turn("user", (Text(""),))),
        (Turn("user", (ToolResult("call_9", (Text("done"),)),)),),
        (),
    ],
)
@pytest.mark.parametrize("prefill", [True, False])
def test_a_mere_talk_is_in_order(profile: DialectProfile, turns: tuple[Turn, ...], prefill: bool) -> None:
    """What is taken without a look for texts in turn is what the whole look gives; nothing else is."""
    asked = ChatRequest(dialect="test", model="asked", turns=turns)
    target = Target("model-1", prefill=prefill)
    whole, short = Losses(), Losses()
    settled = settle_turns(fit_parts(asked, profile, target, whole), profile, target, whole)
    assert adapt(asked, profile, target, short, harmless).request.turns == settled.turns
    assert [loss.kind for loss in short.all()] == [loss.kind for loss in whole.all()]
