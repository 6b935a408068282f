"""What goes wrong at the vendor is an exception of the client's own SDK, never a clean end."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from google.genai import _api_client, errors

from ampproxy.testing.script import Script
from tests.interop.backends import BACKENDS, PAIRS, backend_dialect
from tests.interop.clients import Ask
from tests.running import SECRETS

pytestmark = [pytest.mark.loopback, pytest.mark.parametrize(("client", "backend"), PAIRS)]

_OPENAI = {
    400: openai.BadRequestError,
    401: openai.InternalServerError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    529: openai.InternalServerError,
}
#: client -> the vendor's status -> the SDK's class. A 401 is about the account's key, not the client's own:
#: it becomes a 502, which no client takes for a refusal of its own key.
CLASSES: dict[str, dict[int, type[Exception]]] = {
    "anthropic": {
        400: anthropic.BadRequestError,
        401: anthropic.InternalServerError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        529: anthropic.InternalServerError,
    },
    "openai-chat": _OPENAI,
    "openai-responses": _OPENAI,
    "gemini": {
        400: errors.ClientError,
        401: errors.ServerError,
        429: errors.ClientError,
        500: errors.ServerError,
        529: errors.ServerError,
    },
}
#: The HTTP libraries that the SDKs use: which one depends on their versions.
_HTTP = [getattr(_api_client, name, None) for name in ("httpx", "httpx2")]
HTTP_ERRORS = tuple(library.HTTPError for library in _HTTP if library is not None)
#: Every error that an SDK raises.
ANY = (anthropic.APIError, openai.APIError, errors.APIError, *HTTP_ERRORS)


def _code(error: Any) -> int:
    return error.code if isinstance(error, errors.APIError) else error.status_code


@pytest.mark.parametrize(
    ("status", "stream"),
    [(400, False), (401, False), (429, False), (500, False), (529, False), (400, True), (429, True)],
)
def test_status(talk, world, client, backend, stream, status):
    """The class that the SDK has for it, with the vendor's own words, and its wish to wait."""
    words = f"No {status} for you, says {backend}."
    vendor = 503 if status == 529 and backend != "anthropic" else status
    wait = 7.0 if status == 429 else None
    world.vendors[backend].script(Script(status=vendor, message=words, retry_after=wait))
    with pytest.raises(CLASSES[client][status]) as caught:
        talk(client).user("hi").ask(Ask(model="wanted-" + backend, stream=stream))
    told = str(caught.value)
    assert words in told
    assert not [secret for secret in SECRETS if secret in told]
    assert _code(caught.value) in {529: (503, 529), 401: (502,)}.get(status, (status,))
    if status == 429:
        response = caught.value.response
        headers = getattr(response, "headers", {})
        assert headers.get("retry-after") == "7"


@pytest.mark.parametrize(("ending", "after"), [("error", 1), ("error", 4), ("cut", 4), ("end", 4)])
def test_broken_stream(talk, world, client, backend, ending, after):
    """An error told in the stream, a cut connection, an end without the last event: the SDK raises."""
    # Twice: on a busy machine all of it may come before the answer has begun, which is asked for again then.
    world.vendors[backend].script(*[Script(text="one two three four five six", **{ending: after})] * 2)
    with pytest.raises(ANY) as caught:
        talk(client).user("hi").ask(Ask(model=BACKENDS[backend], stream=True))
    told = str(caught.value)
    assert not [secret for secret in SECRETS if secret in told]


def test_hung_up(talk, world, client, backend):
    """A vendor that hangs up before it says anything is asked once more; after that the SDK raises."""
    world.vendors[backend].script(Script(cut=0), Script(text="here I am"), Script(cut=0), Script(cut=0))
    ask = Ask(model=BACKENDS[backend], stream=True)
    assert talk(client).user("hi").ask(ask).text == "here I am"
    with pytest.raises(CLASSES[client][500]):
        talk(client).user("hi").ask(ask)


@pytest.mark.parametrize("after", [2, 4])
def test_broken_call(talk, world, client, backend, after):
    """The same in the middle of a tool call: half a call is never run."""
    calls = (("Read", '{"path":"' + "x" * 200 + '"}'),)
    tools = {"Read": {"type": "object", "properties": {"path": {"type": "string"}}}}
    if backend_dialect(backend) == "gemini":
        calls = (("Read", '{"path":"x"}'),) * 5
    world.vendors[backend].script(*[Script(calls=calls, cut=after)] * 2)
    with pytest.raises(ANY):
        talk(client).user("hi").ask(Ask(model=BACKENDS[backend], stream=True, tools=tools))


def test_broken_whole(talk, world, client, backend):
    """A whole answer whose connection is cut in the middle."""
    world.vendors[backend].script(Script(text="one two three", cut=1))
    with pytest.raises(CLASSES[client][500]):
        talk(client).user("hi").ask(Ask(model=BACKENDS[backend]))


def test_splits(talk, client, backend):
    """An answer that arrives in pieces of seven bytes is the same answer."""
    answer = talk(client).user("grüß dich ✓").ask(Ask(model=BACKENDS[backend] + "+split=7", stream=True))
    assert answer.text.endswith("answers: grüß dich ✓")
