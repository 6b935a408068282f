"""What the demonstration asks through the gateway, and what has to come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ampproxy.testing.amp_cloud import CUSTOM_URL, AmpCloud
from ampproxy.testing.script import Script

CLIENT_KEY = "demo-client-key"
AMP_KEY = "demo-amp-upstream-key"
#: What Amp's cloud presents.
NEO_KEY = "demo-key-of-amp-cloud"
#: Stand-in -> the key of the account that leads to it.
VENDOR_KEYS = {
    "anthropic": "demo-anthropic-account",
    "openai-responses": "demo-openai-account",
    "gemini": "demo-gemini-account",
    "openai-chat": "demo-local-account",
}

_BEARER = {"authorization": f"Bearer {CLIENT_KEY}"}
_ANTHROPIC = {"x-api-key": CLIENT_KEY, "anthropic-version": "2023-06-01"}
#: What Amp's client sends to Google's routes: its key, and a decoy.
_GOOGLE = {**_BEARER, "x-goog-api-key": "placeholder"}
_HELLO = "Hello from the demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request and its expectation.

    :param proxy: the gateway as configured, or a second one, with ``force-model-mappings`` and without an
        Amp upstream; or the first one's listener for Amp's cloud.
    :param asked: the model, as the row shows it.
    :param route: what ``X-Ampproxy-Route`` has to say; empty: the header has to be absent.
    :param by: the stand-in that has to get this request, and no other one; empty: none of them.
    :param served: the model that has to be asked of it.
    :param sees: what has to stand in the answer.
    :param script: how the stand-in delivers.
    :param shown: print the text as it arrives.
    :param read: reads the answer as its client does; raises where that could not.
    """

    what: str
    path: str
    asked: str = ""
    body: Any = None
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    proxy: Literal["main", "forced", "cloud"] = "main"
    status: int = 200
    route: str = "local"
    by: str = ""
    served: str = ""
    sees: tuple[str, ...] = ()
    script: Script | None = None
    shown: bool = False
    read: Callable[[int, Mapping[str, str], bytes], Any] | None = None


def _messages(model: str, stream: bool = False, **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": _HELLO}]
    return {
        "model": model,
        "max_tokens": 200,
        "messages": turns,
        **({"stream": True} if stream else {}),
        **more,
    }


def _anthropic(what: str, model: str, served: str = "", stream: bool = False, **more: Any) -> Case:
    served = served or model
    script = more.get("script")
    end = ("message_stop" if stream else '"end_turn"', script.text if script else _HELLO)
    row: dict[str, Any] = {
        "path": "/api/provider/anthropic/v1/messages",
        "body": _messages(model, stream),
        "headers": _ANTHROPIC,
        "by": "anthropic",
        "served": served,
        "sees": (f'"model":"{model}"', *end),
        **more,
    }
    return Case(what=what, asked=model, **row)


def _chat(what: str, model: str, stream: bool, **more: Any) -> Case:
    body = {"model": model, "messages": [{"role": "user", "content": _HELLO}]}
    row: dict[str, Any] = {
        "path": "/api/provider/xai/v1/chat/completions",
        "body": {**body, "stream": True} if stream else body,
        "headers": _BEARER,
        "by": "openai-chat",
        "served": "demo-model-1",
        "sees": (_HELLO, "[DONE]") if stream else (_HELLO,),
        **more,
    }
    return Case(what=what, asked=model, **row)


def _responses(what: str, model: str, stream: bool, by: str = "openai-responses") -> Case:
    body = {"model": model, "input": [{"role": "user", "content": _HELLO}], "store": False}
    return Case(
        what=what,
        asked=model,
        path="/api/provider/openai/v1/responses",
        body={**body, "stream": True} if stream else body,
        headers=_BEARER,
        by=by,
        served=model,
        sees=(_HELLO, "response.completed" if stream else '"completed"'),
    )


def _gemini(what: str, model: str, method: str, by: str = "gemini", served: str = "") -> Case:
    return Case(
        what=what,
        asked=model,
        path=f"/api/provider/google/v1beta1/publishers/google/models/{model}:{method}",
        body={"contents": [{"role": "user", "parts": [{"text": _HELLO}]}]},
        headers=_GOOGLE,
        by=by,
        served=served or model,
        sees=(_HELLO, "STOP"),
    )


def _cloud(format: str, model: str, by: str) -> Case:
    """A request as Amp's cloud makes it at a connection of this format: with one provider's word more in the
    name of the model, and a thread named in its system text.
    """
    cloud = AmpCloud(loopback=True)
    # Only the path of the address counts here; the demonstration knows where its gateway is.
    base = "http://127.0.0.1" + ("" if format == "anthropic-messages" else "/v1")
    config = {"baseURL": base, "apiFormat": format}
    made = {"target": "user", "type": CUSTOM_URL, "name": "demo", "secret": NEO_KEY, "active": True}
    cloud.call("createModelProviderKey", {**made, "config": config})
    talk = cloud.talk(model, "T-5a1e0f00-0000-4000-8000-00000000d3e0", effort="")
    talk.user(_HELLO)
    request = cloud.request(model, talk)
    return Case(
        what=f"Amp's cloud, {format}",
        asked=model,
        path=request.path,
        body=request.body,
        headers=request.headers,
        proxy="cloud",
        by=by,
        served=model.partition("/")[2],
        sees=(_HELLO,),
        read=talk.read,
    )


_SLOW = Script(
    text="This text was streamed by a mock vendor, through the gateway, one word at a time.", interval=0.03
)

CASES: tuple[Case, ...] = (
    _anthropic("Anthropic", "claude-sonnet-4-6"),
    _anthropic("Anthropic, streamed", "claude-sonnet-4-6", stream=True, script=_SLOW, shown=True),
    _chat("Chat", "demo-chat", False),
    _chat("Chat, streamed", "demo-chat", True),
    _responses("Responses", "gpt-5.4", False),
    _responses("Responses, streamed", "gpt-5.4", True),
    _gemini("Gemini", "gemini-3-flash-preview", "generateContent"),
    _gemini("Gemini, streamed", "gemini-3-flash-preview", "streamGenerateContent?alt=sse"),
    _anthropic("Anthropic, from Responses", "gpt-5.4", stream=True, by="openai-responses"),
    _chat("Chat, from Gemini", "gemini-2.5-flash", False, by="gemini", served="gemini-2.5-flash"),
    _responses("Responses, from Anthropic", "claude-sonnet-4-6", True, by="anthropic"),
    _gemini("Gemini, from Chat", "demo-chat", "generateContent", by="openai-chat", served="demo-model-1"),
    Case(
        what="count tokens",
        asked="claude-sonnet-4-6",
        path="/api/provider/anthropic/v1/messages/count_tokens",
        body={"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": _HELLO}]},
        headers=_ANTHROPIC,
        by="anthropic",
        served="claude-sonnet-4-6",
        sees=('"input_tokens"',),
    ),
    Case(
        what="list of models",
        method="GET",
        path="/api/provider/openai/v1/models",
        headers=_BEARER,
        sees=('"demo-chat"',),
    ),
    _anthropic("mapped", "claude-opus-4-6", "claude-sonnet-4-6", route="mapped"),
    _anthropic("mapped by pattern", "claude-opus-4-7", "claude-sonnet-4-6", route="mapped", stream=True),
    _anthropic(
        "mapped, forced", "claude-sonnet-4-6", "claude-haiku-4-5-20251001", route="mapped", proxy="forced"
    ),
    _chat("falls back to Amp", "grok-4", True, by="amp", served="grok-4", route="amp"),
    _cloud("anthropic-messages", "anthropic/claude-sonnet-4-6", "anthropic"),
    _cloud("responses", "openai/gpt-5.4", "openai-responses"),
    _cloud("chat-completions", "google-vertex/gemini-2.5-flash", "gemini"),
    Case(
        what="Amp's cloud, elsewhere",
        path="/api/internal?getUserInfo",
        body={"method": "getUserInfo", "params": {}},
        headers={"authorization": f"Bearer {NEO_KEY}"},
        status=403,
        route="",
        sees=("POST /v1/messages",),
    ),
    Case(
        what="Amp's control plane",
        path="/api/internal?getUserInfo",
        body={"method": "getUserInfo", "params": {}},
        headers=_BEARER,
        route="management",
        by="amp",
        served="getUserInfo",
        sees=('"features":[]',),
    ),
    Case(
        what="a page of Amp's",
        method="GET",
        path="/api/user",
        headers=_BEARER,
        route="management",
        by="amp",
        sees=("demo@example.org",),
    ),
    _anthropic(
        "a wrong key",
        "claude-sonnet-4-6",
        headers={**_ANTHROPIC, "x-api-key": "not-a-key"},
        status=401,
        route="",
        by="",
        served="",
        sees=("authentication_error",),
    ),
    _chat(
        "unknown, no fallback",
        "grok-4",
        False,
        proxy="forced",
        status=404,
        route="none",
        by="",
        served="",
        sees=("grok-4",),
    ),
)
