"""What a request on an unknown path may ask for."""

from __future__ import annotations

import json
from functools import partial

import pytest

from ampproxy.routing.named_models import NamedModels, named_models
from tests.clocked import assert_grows

X = b"/api/provider/x/"
OPUS = "claude-opus-4"
DECOY = {"model": "cheap"}


def body(**members: object) -> bytes:
    return json.dumps(members).encode()


@pytest.mark.parametrize(
    ("path", "content", "models"),
    [
        (b"v1/images/generations", body(model="dall-e"), ("dall-e",)),
        (b"v1/realtime/sessions", body(session=DECOY), ("cheap",)),
        (b"v1/x", body(modelId=OPUS), (OPUS,)),
        (b"v1/x", b'{"MODEL" : "a", "x": [{"model_name":"b"}]}', ("a", "b")),
        (b"v1/messages/batches", body(requests=[{"params": {"model": OPUS}}]), (OPUS,)),
        (b"v1/messages/batches", body(requests=[{"params": {"model": OPUS}}], **DECOY), (OPUS, "cheap")),
        (b"model/anthropic.claude-x/invoke", b"{}", ("anthropic.claude-x",)),
        (b"openai/deployments/gpt-9/chat/completions", b"{}", ("gpt-9",)),
        (
            b"v1/publishers/anthropic/models/claude-opus-4@1:rawPredict",
            b"{}",
            ("claude-opus-4@1:rawpredict",),
        ),
        (b"v9/Models/m-9:generate", body(**DECOY), ("m-9:generate", "m-9", "cheap")),
        (b"some/GPT-9/where", b"{}", ("gpt-9",)),
    ],
)
def test_told(path: bytes, content: bytes, models: tuple[str, ...]) -> None:
    """Each name that could be it, in path and body."""
    found = named_models(X + path, content)
    assert found.sure
    assert set(found.models) >= set(models)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (
            b"v1/audio/transcriptions",
            b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n--b--\r\n',
        ),
        (b"v1/x", body(**DECOY).decode().encode("utf-16")),
        (b"v1/x", b'[{"model": "cheap"}]'),
        (b"v1/x", b""),
        (b"v1/x", b"not json"),
        (b"v1/x", body(prompt="hi")),
        (b"v1/x", body(assistant_id="asst_1")),
        (b"v1/batches", body(input_file_id="file_1", **DECOY)),
        (b"v1/models/m-9:batchGenerateContent", body(batch={"inputConfig": {"fileName": "f"}})),
        (b"openai/deployments/mine/chat/completions", body(**DECOY)),
        (b"v1/projects/p/locations/l/endpoints/1:predict", body(**DECOY)),
        (b"v1/x", b'{"model": "cheap", "mod\\u0065l": "claude-opus-4"}'),
        (b"v1/x", b'{"model": "%b"}' % (b"a" * 600)),
        (b"v1/x", b'{"model": "\\ud800"}'),
        (b"v1/x", body(model="cheap/../claude-opus-4")),
        (b"v1/x", body(model="")),
        (b"v1/x", json.dumps([{"model": f"m{n}"} for n in range(300)]).join(('{"a":', "}")).encode()),
        (b"v1/x", b'{"model": "cheap", "x": "%b"}' % (b"a" * 9_000_000)),
    ],
)
def test_not_told(path: bytes, content: bytes) -> None:
    """Nobody can say that it asks for nothing else."""
    assert not named_models(X + path, content).sure


def test_text_is_no_name() -> None:
    """What a conversation says of models is not what it asks for."""
    content = body(model="m", messages=[{"role": "user", "content": '{"model": "x", \\"model\\": "y"}'}])
    assert named_models(X + b"v1/x", content) == NamedModels(("m",), True)


def test_segments_without_end() -> None:
    """A path of nothing but names is looked at so far."""
    found = named_models(X + b"/".join(b"gpt-%d" % number for number in range(5000)), b"{}")
    assert len(found.models) <= 256
    assert not found.sure


@pytest.mark.parametrize(
    "piece", [b'"model" ', b'"model":', b'"model":"', b"\\", b'\\"', b'"', b'"model":"a\\']
)
def test_time_is_linear(piece: bytes) -> None:
    """Twice the body takes about twice the time, whatever it is made of."""
    found = partial(named_models, X + b"v1/x")
    found(b"")
    assert_grows(found, lambda times: b'{"a": "' + piece * times, 20_000, 80_000, 9.6)
