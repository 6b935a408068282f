"""What the way of a request depends on is found in its body."""

from __future__ import annotations

import pytest

from ampproxy.dialects.facts import facts_of
from ampproxy.dialects.proof import MARK
from ampproxy.dialects.registry import DIALECTS


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("anthropic", '{"type":"redacted_thinking","data":"PROOF"}'),
        ("anthropic", '{"type":"thinking","signature":"PROOF"}'),
        ("openai-responses", '{"type":"reasoning","encrypted_content":"PROOF"}'),
        ("openai-chat", '{"reasoning_content":"PROOF"}'),
        ("gemini", '{"thoughtSignature":"PROOF"}'),
        ("gemini", '{"thought_signature":"PROOF"}'),
    ],
)
def test_thinking(dialect: str, text: str) -> None:
    """Thinking in the history is seen, and whether a proof of it may be another vendor's."""
    own = f'{{"model":"m","stream":true,"x":[{text}]}}'.encode()
    facts = facts_of(DIALECTS[dialect], own)
    assert (facts.thinks, facts.sealed) == (True, False)
    assert (facts.found.model, facts.found.stream) == ("m", True)
    assert facts_of(DIALECTS[dialect], own.replace(b"PROOF", MARK.encode() + b"x")).sealed


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_none(dialect: str) -> None:
    """A history without thinking has no proofs to look for."""
    facts = facts_of(DIALECTS[dialect], b'{"model":"m","x":"' + MARK.encode() + b'"}')
    assert (facts.thinks, facts.sealed) == (False, False)


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff", b"[" * 100_000])
def test_no_json(body: bytes) -> None:
    """What is no JSON object has no facts."""
    with pytest.raises(ValueError, match="body"):
        facts_of(DIALECTS["anthropic"], body)
