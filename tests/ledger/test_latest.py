"""The last exchange of a client is found, by the models that it asked for, too."""

from __future__ import annotations

from contextlib import closing

from ampproxy.ledger.latest import Latest, latest
from tests.ledger.samples import NOON, SECOND, THREAD, entry


def test_the_last(ledger):
    """By time, whatever the order of the rows and of their series; of this client, of these models."""
    ledger.write([entry(NOON + 9 * SECOND, client="other"), entry(NOON + 3 * SECOND, client="cloud")])
    ledger.write([entry(NOON + SECOND, client="cloud", asked="gpt-5", outcome="broken-off", tokens=None)])
    with closing(ledger.place.open()) as opened:
        assert latest(opened, "cloud") == Latest(
            (NOON + 3 * SECOND) / SECOND,
            THREAD,
            "claude-opus-4-6",
            "claude-opus-4-6",
            "claude-api-key[0]",
            "local",
            "completed",
            200,
            2400,
            40,
        )
        found = latest(opened, "cloud", {"gpt-5", "gpt-6"})
        assert found is not None
        assert (found.asked, found.outcome, found.input, found.output) == ("gpt-5", "broken-off", None, None)
        assert latest(opened, "cloud", {"gpt-6"}) is None
        assert latest(opened, "nobody") is None
