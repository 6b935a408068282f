"""What is known of a request's body, for questions that tests make themselves."""

from __future__ import annotations

from ampproxy.dialects.facts import MARK, BodyFacts, facts_of
from ampproxy.dialects.registry import DIALECTS
from ampproxy.wire.json import Peek


def facts(dialect: str, body: bytes) -> BodyFacts:
    """As the gateway finds it; of a body that is no JSON, which the gateway refuses, the worst."""
    try:
        return facts_of(DIALECTS[dialect], body)
    except ValueError:
        return BodyFacts(Peek(), thinks=True, foreign_signatures=MARK in body)
