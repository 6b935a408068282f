"""Counting, the older completions, Vertex's paths, lists of models: by SDK where one has it."""

from __future__ import annotations

import json
from http.client import HTTPConnection, IncompleteRead
from urllib.parse import urlsplit

import anthropic
import openai
import pytest
from google.genai import errors

from ampproxy.testing.script import Script
from tests.interop.backends import BACKENDS
from tests.interop.clients import PREFIX, Ask
from tests.running import MODELS, SECRETS

pytestmark = pytest.mark.loopback

EACH = pytest.mark.parametrize("backend", BACKENDS)
ROOTS = pytest.mark.parametrize("root", [False, True], ids=["amp", "root"])
TOOLS = {"Read": {"type": "object", "properties": {"path": {"type": "string"}}}}


@EACH
@ROOTS
@pytest.mark.parametrize("client", ["anthropic", "gemini"])
def test_count(talk, client, backend, root):
    """Tokens are counted by the vendor, or estimated where it has no way to count."""
    person = talk(client, root=root)
    person.user("how many tokens are these? " * 10)
    ask = Ask(model=BACKENDS[backend], system=("Be brief.",), tools=TOOLS)
    few = person.count(ask)
    many = person.user("and these? " * 100).count(ask)
    assert 20 < few < many


@EACH
@ROOTS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_completions(world, backend, root, stream):
    """The older completions are answered by every backend."""
    base = world.url + ("/v1" if root else PREFIX + "openai/v1")
    with openai.OpenAI(base_url=base, api_key=world.key, max_retries=0) as client:
        asked = {"model": BACKENDS[backend], "prompt": "Once upon", "max_tokens": 50}
        if stream:
            chunks = list(client.completions.create(stream=True, **asked))
            text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
            finish = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1]
        else:
            whole = client.completions.create(**asked)
            text, finish = whole.choices[0].text, whole.choices[0].finish_reason
            assert whole.usage.total_tokens > 0
    assert "Once upon" in text
    assert finish == "stop"


def _post(world, path, body):
    connection = HTTPConnection(urlsplit(world.url).netloc, timeout=60)
    headers = {"x-goog-api-key": world.key, "content-type": "application/json"}
    connection.request("POST", path, json.dumps(body).encode(), headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, response.headers["content-type"], answer


VERTEX = "/api/provider/google/v1beta1/publishers/google/models/"


@EACH
def test_vertex(world, backend):
    """Amp asks Google's models on Vertex's paths, streamed as events."""
    model = "wanted-" + backend
    body = {"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]}
    status, kind, answer = _post(world, f"{VERTEX}{model}:streamGenerateContent?alt=sse", body)
    assert (status, kind.partition(";")[0]) == (200, "text/event-stream")
    chunks = [json.loads(line[6:]) for line in answer.split(b"\n") if line.startswith(b"data: ")]
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"].get("parts", ())]
    assert "".join(part["text"] for part in parts) == f"{BACKENDS[backend]} answers: hello there"
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    assert {chunk["modelVersion"] for chunk in chunks} == {model}


@EACH
def test_growing_list(world, backend):
    """Without ``alt=sse`` a stream is a JSON list, as Google's own is."""
    body = {"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]}
    path = f"/v1beta/models/{BACKENDS[backend]}:streamGenerateContent"
    status, kind, answer = _post(world, path, body)
    assert (status, kind.partition(";")[0].lower()) == (200, "application/json")
    chunks = json.loads(answer)
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"


@EACH
def test_growing_list_breaks(world, backend):
    """A list that breaks off ends with the error, and the body without its last chunk: never a clean end."""
    world.vendors[backend].script(Script(text="one two three four five six seven", cut=6))
    body = {"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]}
    path = f"/v1beta/models/{BACKENDS[backend]}:streamGenerateContent"
    with pytest.raises(IncompleteRead) as caught:
        _post(world, path, body)
    assert json.loads(caught.value.partial)[-1]["error"]["code"] == 502


@pytest.mark.parametrize("client", list(MODELS))
def test_lists(talk, client):
    """Each SDK lists the models that the configuration names."""
    person = talk(client, root=True)
    found = {getattr(one, "id", None) or one.name for one in person.sdk.models.list()}
    assert {name.removeprefix("models/") for name in found} >= set(BACKENDS.values())


@pytest.mark.parametrize("client", list(MODELS))
def test_unknown_model(talk, client):
    """A name that nobody serves, at the root: an honest 404 in the client's own words."""
    kinds = (anthropic.NotFoundError, openai.NotFoundError, errors.ClientError)
    with pytest.raises(kinds) as caught:
        talk(client, root=True).user("hi").ask(Ask(model="nobody-has-this"))
    assert 404 in (getattr(caught.value, "status_code", 0), getattr(caught.value, "code", 0))
    assert "nobody-has-this" in str(caught.value)


def test_wrong_key(world):
    """A wrong client key is refused, and not repeated."""
    with (
        openai.OpenAI(base_url=world.url + "/v1", api_key="sk-wrong-key-000000", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.responses.create(model="gpt-5.4", input="hi")
    assert not [secret for secret in (*SECRETS, "sk-wrong-key-000000") if secret in str(caught.value)]
