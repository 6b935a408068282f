"""What the backend of Codex logins is sent, and what passes through untranslated."""

from __future__ import annotations

import json

import pytest
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from typing_extensions import get_type_hints

from ampproxy.dialects import proof
from ampproxy.dialects.openai_responses.codex import REFUSED, TAKEN, constrain
from ampproxy.dialects.openai_responses.for_others import STATEFUL
from ampproxy.dialects.openai_responses.passthrough import without_foreign_proofs
from ampproxy.errors import ClientFault
from ampproxy.model.loss import OF_REQUEST
from ampproxy.model.parts import Signature


def test_what_is_demanded():
    """A login's request is streamed, not stored, with proofs and instructions; a string is a message."""
    body, losses = constrain(b'{"model":"gpt-5","input":"hi \\u00e9","stream":false,"store":true}')
    assert json.loads(body) == {
        "model": "gpt-5",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi é"}]}],
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "instructions": "",
    }
    assert losses == ()


def test_what_is_refused_is_left_out_and_said():
    """Parameters that the backend answers with 400 are taken out, each named."""
    members = dict.fromkeys(REFUSED, 1)
    body, losses = constrain(json.dumps({"model": "m", "service_tier": "flex", **members}).encode())
    assert set(json.loads(body)) == {"model", "stream", "store", "include", "instructions"}
    assert [loss.kind for loss in losses] == [*REFUSED, "service_tier"]
    body, losses = constrain(b'{"model":"m","service_tier":"priority","user":null}')
    assert json.loads(body)["service_tier"] == "priority"
    assert "user" not in json.loads(body)
    assert losses == ()


def test_every_other_member_is_left_out_and_declared():
    """The backend takes a short list and answers 400 to anything else, also to what is new."""
    known = {*get_type_hints(ResponseCreateParamsNonStreaming), "a_member_of_tomorrow", "client_metadata"}
    known -= STATEFUL.keys()
    body = {name: {} if name == "metadata" else 1 for name in known} | {"model": "m", "input": "hi"}
    sent, losses = constrain(json.dumps(body | {"service_tier": "priority"}).encode())
    assert json.loads(sent).keys() == (known & TAKEN) | {"stream", "store", "include", "instructions"}
    assert {loss.path for loss in losses} == known - TAKEN
    assert {loss.kind for loss in losses} <= OF_REQUEST.keys()
    assert {"metadata", "background", "a_member_of_tomorrow"} <= {loss.path for loss in losses}


@pytest.mark.parametrize("member", STATEFUL)
def test_what_is_stored_nowhere_is_refused(member):
    """The backend stores nothing: an answer without the conversation would look like one and be none."""
    with pytest.raises(ClientFault, match=member):
        constrain(json.dumps({"model": "m", "input": "hi", member: "resp_1"}).encode())
    assert constrain(json.dumps({"model": "m", "input": "hi", member: None}).encode())[1] == ()


def test_the_rest_keeps_its_text():
    """No tool, prompt or identity is added; numbers and blanks stay as the client wrote them."""
    tools = b'[{"type":"function", "name":"f","parameters":{"maximum":1.50e400},"strict":false}]'
    items = b'{"role":"user","content":"a  b","n":12345678901234567890.10}'
    source = (
        b'{"model":"m","instructions":"mine","include":["x","reasoning.encrypted_content"],"tools":'
        + tools
        + b',"input":[{"role":"system","content":"S"}, '
        + items
        + b"]}"
    )
    body, _ = constrain(source)
    assert tools in body
    assert items in body
    assert b'"instructions":"mine"' in body
    assert b'"include":["x","reasoning.encrypted_content"]' in body
    assert [item["role"] for item in json.loads(body)["input"]] == ["developer", "user"]


def test_twice_is_once():
    """A body that fits already stays as it is."""
    once, _ = constrain(b'{"model":"m","input":[{"role":"system","content":"S"}],"user":"u"}')
    assert constrain(once) == (once, ())


def test_not_an_object():
    """What is no request is the client's fault."""
    with pytest.raises(ClientFault):
        constrain(b"[]")


def reasoning(proof: str) -> str:
    return json.dumps({"type": "reasoning", "id": "rs_shown", "summary": [], "encrypted_content": proof})


def test_foreign_proofs_do_not_pass():
    """A thread that another vendor answered before goes on here without that vendor's proofs."""
    foreign = proof.wrap_signature("", Signature("anthropic", "c2ln"))
    own = proof.wrap_signature("", Signature("openai-responses", "gAAAA", "rs_real"))
    call = '{"type":"function_call","call_id":"c","name":"f","arguments":"{\\"n\\": 1.0}"}'
    source = f'{{"model":"m","input":[{reasoning(foreign)},{call},{reasoning(own)},{reasoning("gBBB")}]}}'
    body, losses = without_foreign_proofs(source.encode())
    first, second, third = json.loads(body)["input"]
    assert first["type"] == "function_call"
    assert call.encode() in body
    assert (second["id"], second["encrypted_content"]) == ("rs_real", "gAAAA")
    assert third["encrypted_content"] == "gBBB"
    assert [(loss.kind, loss.path) for loss in losses] == [("foreign_proof", "input[0]")]


@pytest.mark.parametrize("body", [b'{"model":"m","input":[]}', b'{"model":"m","input":"ampproxy"}'])
def test_nothing_to_take_out(body: bytes):
    """A body without such proofs passes byte for byte."""
    assert without_foreign_proofs(body) == (body, ())


def test_thinking_without_proof_does_not_pass():
    """Thinking that the vendor can neither check nor have stored would be answered with 404."""
    bare = '{"type":"reasoning","id":"rs_1","summary":[]}'
    source = f'{{"model":"m","store":false,"input":[{bare},{{"role":"user","content":"hi"}}]}}'.encode()
    body, losses = without_foreign_proofs(source)
    assert json.loads(body)["input"] == [{"role": "user", "content": "hi"}]
    assert [loss.kind for loss in losses] == ["reasoning"]
    stored = source.replace(b"false", b"true")
    assert without_foreign_proofs(stored) == (stored, ())


def test_a_login_is_given_no_thinking_by_its_id():
    """The client had it stored; the backend, which stores nothing, would look for it in vain."""
    kept = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAA"}
    items = [{"type": "reasoning", "id": "rs_1", "summary": []}, kept, {"role": "user", "content": "hi"}]
    body, losses = constrain(json.dumps({"model": "m", "input": items}).encode())
    assert json.loads(body)["input"] == items[1:]
    assert [(loss.kind, loss.path) for loss in losses] == [("reasoning", "input")]


def test_a_reference_to_thinking_is_left_out() -> None:
    """The backend stores nothing; what it says is not missing in the conversation. Others it may know."""
    items = [{"type": "item_reference", "id": id_} for id_ in ("rs_1", "msg_1")]
    body, losses = constrain(json.dumps({"model": "m", "input": items}).encode())
    assert json.loads(body)["input"] == items[1:]
    assert [loss.kind for loss in losses] == ["reasoning"]
