"""What the way of a request depends on is found in its body."""

from __future__ import annotations

import pytest

from ampproxy.dialects.facts import facts_of
from ampproxy.dialects.proof import MARK
from ampproxy.dialects.registry import DIALECTS


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("anthropic", '{"role":"assistant","content":[{"type":"redacted_thinking","data":"PROOF"}]}'),
        ("anthropic", '{"role":"assistant","content":[{"type":"thinking","signature":"PROOF"}]}'),
        ("openai-responses", '{"type":"reasoning","encrypted_content":"PROOF"}'),
        ("openai-chat", '{"reasoning_content":"PROOF"}'),
        ("gemini", '{"parts":[{"thoughtSignature":"PROOF"}]}'),
        ("gemini", '{"parts":[{"thought_signature":"PROOF"}]}'),
    ],
)
def test_thinking(dialect: str, text: str) -> None:
    """Thinking in the history is seen, and whether a proof of it may be another vendor's."""
    name = "contents" if dialect == "gemini" else "messages"
    own = f'{{"model":"m","stream":true,"{name}":[{text}]}}'.encode()
    facts = facts_of(DIALECTS[dialect], own)
    assert (facts.thinks, facts.foreign_signatures) == (True, False)
    assert (facts.found.model, facts.found.stream) == ("m", True)
    assert facts_of(DIALECTS[dialect], own.replace(b"PROOF", MARK.encode() + b"x")).foreign_signatures


def test_thinking_to_be_counted() -> None:
    """What Gemini is to count may be a whole request."""
    body = b'{"generateContentRequest":{"contents":[{"parts":[{"thoughtSignature":"x"}]}]}}'
    assert facts_of(DIALECTS["gemini"], body).thinks


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_none(dialect: str) -> None:
    """A history without thinking has no proofs to look for."""
    facts = facts_of(DIALECTS[dialect], b'{"model":"m","x":"' + MARK.encode() + b'"}')
    assert (facts.thinks, facts.foreign_signatures) == (False, False)


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff", b"[" * 100_000])
def test_no_json(body: bytes) -> None:
    """What is no JSON object has no facts."""
    with pytest.raises(ValueError, match="body"):
        facts_of(DIALECTS["anthropic"], body)


_LARGE = (
    b'{"model":"m","stream":true,"tool_choice":{"type":"any"},"messages":[%b],"x":"' + b"x" * 70_000 + b'"}'
)


@pytest.mark.parametrize(
    ("message", "thinks", "signature"),
    [
        (b'{"role":"user","content":"a \\"thinking\\" b"}', False, False),
        (b'{"role":"user","content":[{"type":"text","text":"\\"signature\\""}]}', False, False),
        (b'{"role":"assistant","content":[{"type":"thinking","thinking":"t"}]}', True, False),
        (b'{"role":"assistant","content":[{"type":"th\\u0069nking","thinking":"t"}]}', True, False),
        (b'{"role":"assistant","content":[{"type":"redacted_thinking","data":"MARK"}]}', True, True),
        (b'{"role":"assistant","content":[{"type":"tool_use","signature":"MARK"}]}', True, True),
        (b'{"role":"assistant","content":[{"type":"tool_use","signature":null}]}', True, False),
        # Not as its vendor takes it: then a search decides.
        (b'{"role":"assistant","content":7},{"signature":"x"}', True, False),
        (b'{"role":"assistant","content":[7]}', False, False),
        (b"7", False, False),
    ],
)
def test_a_large_body(message: bytes, thinks: bool, signature: bool) -> None:
    """Of a large body the same is found, in one pass; what only talks of thinking holds none."""
    body = _LARGE % message.replace(b"MARK", MARK.encode())
    facts = facts_of(DIALECTS["anthropic"], body)
    assert (facts.thinks, facts.foreign_signatures) == (thinks, signature)
    assert (facts.found.model, facts.found.stream) == ("m", True)
    assert bytes(facts.found.choice) == b'{"type":"any"}'


def test_thinking_that_is_configured() -> None:
    """That a request asks for thinking says nothing of its history."""
    body = _LARGE.replace(b'"x":', b'"thinking":{"type":"enabled"},"x":') % b'{"role":"user","content":"hi"}'
    assert not facts_of(DIALECTS["anthropic"], body).thinks
