"""The error of a request that nobody served."""

from __future__ import annotations

import pytest

from ampproxy.credentials.outcomes import Action, Verdict
from ampproxy.model.events import WireError
from ampproxy.relay.exhausted import Attempt, exhausted

LIMITED = Verdict(action=Action.REST_MODEL, reason="is rate limited")
FAILED = Verdict(action=Action.REST_MODEL, reason="failed", suggestion="look")


def attempt(number=0, verdict=LIMITED, status=429, kind="rate_limit", message="slow"):
    return Attempt(f"x[{number}]", verdict, 5, WireError(kind, message, status))


@pytest.mark.parametrize(
    ("asked", "resting", "status", "kind"),
    [
        ([attempt(), attempt(1)], [], 429, "rate_limit"),
        ([attempt()], [Attempt("y", LIMITED, 9)], 429, "rate_limit"),
        ([], [Attempt("y", LIMITED, 9)], 429, "rate_limit"),
        ([], [Attempt("y", FAILED, 9)], 503, "overloaded"),
        ([attempt(), attempt(1, FAILED, 500, "internal")], [], 503, "overloaded"),
        (
            [attempt(0, FAILED, 529, "overloaded"), attempt(1, FAILED, 529, "overloaded")],
            [],
            529,
            "overloaded",
        ),
        ([attempt(0, FAILED, 401, "authentication")], [Attempt("y", LIMITED, 9)], 503, "overloaded"),
    ],
)
def test_status(asked, resting, status, kind):
    """429 where everybody is limited, the accounts' own status where they agree, else 503."""
    error = exhausted("m", asked, resting, count=2, wait=3.0).error
    assert (error.status, error.kind, error.retry_after, error.code) == (status, kind, 3.0, "model_cooldown")


def test_refused_keys():
    """Where vendors refuse the accounts' keys, the client is not told that its own is refused: 502."""
    refused = Verdict(
        action=Action.LOGIN, reason="has a key that its vendor rejects", suggestion="put a valid key"
    )
    asked = [attempt(0, refused, 401, "authentication", "invalid x-api-key")]
    error = exhausted("m", asked, [Attempt("y", refused, 9)], count=2, wait=9.0).error
    assert (error.status, error.kind, error.code) == (502, "unavailable", "vendor_key_refused")
    assert "x[0] has a key that its vendor rejects (401: invalid x-api-key)" in error.message
    assert "To do: put a valid key." in error.message


def test_many_accounts():
    """Of a thousand accounts the first ten are told, and how many more there are."""
    many = [attempt(number, message="word\n" * 500) for number in range(1000)]
    message = exhausted("m", many, [], count=1000, wait=None).error.message
    assert message.startswith(
        "No account could serve m: 1000 of 1000 tried and failed.\n- x[0] is rate limited"
    )
    assert message.endswith("\n- and 990 more")
    assert len(message.splitlines()) == 12
    assert len(message) < 4000


def test_rounds_count_accounts_once():
    """An account that was asked twice is one account."""
    assert "1 of 3 tried" in exhausted("m", [attempt(), attempt()], [], count=3, wait=None).error.message
