"""What is kept of an exchange, and of which exchanges anything is."""

from __future__ import annotations

import pytest

from ampproxy.ledger.entry import Tokens, clean_name, entry_of, is_kept, packed_thread, unpacked_thread
from ampproxy.model.events import Usage
from ampproxy.relay.record import Outcome
from tests.ledger.samples import SERIES, THREAD, TOKENS, entry, record

AT = 1_793_534_400.000001


def test_a_record_becomes_numbers_and_names():
    """When, who, what, how much, how long; nothing else of the record."""
    assert entry_of(record(), AT) == entry(int(AT * 1e6))


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"kind": "mapped"}, True),
        ({"kind": "amp"}, True),
        ({"kind": "none", "outcome": Outcome.REFUSED}, True),
        ({"kind": "none", "asked": "", "outcome": Outcome.REFUSED}, False),  # a wrong key, or no model named
        ({"kind": "local", "method": "GET", "asked": ""}, False),  # a list of models
        ({"kind": "local", "method": "GET"}, False),  # one of them
        ({"kind": "management", "asked": "", "path": "/api/internal"}, False),
        ({"kind": "tunnel", "asked": "", "method": "GET", "path": "/actors/x"}, True),
    ],
)
def test_what_asked_for_a_model_is_kept_and_tunnels_are(changes, kept):
    """Amp's own small requests are not, unless the settings say so."""
    assert is_kept(record(**changes), management=False) is kept


def test_management_is_kept_if_wanted():
    """``ledger: {management: true}``."""
    asked = record(kind="management", asked="", path="/api/internal", usage=None)
    assert is_kept(asked, management=True)
    assert entry_of(asked, AT).series._replace(client="", role="") == SERIES._replace(
        client="", role="", asked="", served="", account="", route="management"
    )


def test_what_amp_served_has_no_account():
    """An account that failed before does not get what Amp did."""
    series = entry_of(record(kind="amp"), AT).series
    assert (series.served, series.account, series.asked) == ("", "", "claude-opus-4-6")


@pytest.mark.parametrize(
    ("kind", "status", "outcome"), [("amp", 402, "upstream-error"), ("amp", 200, "completed")]
)
def test_an_error_that_amp_answered_is_one(kind, status, outcome):
    """It was handed on well, but it is no answer of a model."""
    assert entry_of(record(kind=kind, status=status), AT).series.outcome == outcome


def test_only_amps_own_paths_are_amps():
    """What an SDK asked at ``/v1`` would never have gone to Amp."""
    assert not entry_of(record(path="/v1/messages"), AT).series.amp


@pytest.mark.parametrize(
    ("usage", "path", "tokens"),
    [
        (None, "/v1/messages", None),
        (None, "/v1/messages/count_tokens", Tokens()),
        (None, "/v1/responses/input_tokens", Tokens()),
        (None, "/v1beta/models/gemini-2.5-pro:countTokens", Tokens()),
        (Usage(), "/v1/messages", Tokens()),
        (Usage(input=-5, output=10**30), "/v1/messages", Tokens(0, 0, 0, 10**12, 0)),
    ],
)
def test_tokens(usage, path, tokens):
    """Not known is not nothing; a call that counts uses none; a vendor's nonsense is kept within bounds."""
    assert entry_of(record(usage=usage, path=path), AT).tokens == tokens


def test_no_first_byte():
    """An exchange that was refused sent none."""
    assert entry_of(record(first_byte=None), AT).first_ms is None
    assert entry_of(record(), AT).tokens == TOKENS


@pytest.mark.parametrize("thread", [THREAD, "", "T-0123ABCD-4567-4890-abcd-ef0123456789", "a thread of mine"])
def test_threads_come_back(thread):
    """Amp's own ids take 16 bytes; any other text stays as it is."""
    packed = packed_thread(thread)
    assert isinstance(packed, bytes) == (thread == THREAD)
    assert unpacked_thread(packed) == thread


def test_names_are_of_one_line_and_not_endless():
    """Clients choose some of them."""
    assert clean_name("a\nb\x1b[1m" + "x" * 500) == ("a\\x0ab\\x1b[1m" + "x" * 500)[:200]
