"""Messages arrive as they were sent; a record of an exchange with all that it holds."""

from __future__ import annotations

import msgspec

from ampproxy.channel.messages import (
    Accept,
    Arrived,
    Beat,
    Begun,
    Ended,
    Note,
    Visit,
    encode,
    from_supervisor,
    from_worker,
    portable,
)
from ampproxy.model.events import Beside, Usage, WireError
from ampproxy.model.loss import Loss
from ampproxy.relay.fields import fields_of
from ampproxy.relay.gaps import Gaps
from ampproxy.relay.record import ExchangeRecord, Outcome
from ampproxy.state.entries import Entry


def record() -> ExchangeRecord:
    gaps = Gaps()
    gaps.add(0.3)
    found = ExchangeRecord(1.5, "POST", "/v1/messages", request="r", client="c", thread="t", role="smart")
    found.kind, found.asked, found.served, found.account = "local", "a", "b", "claude-api-key[0]"
    found.usage = Usage(1, 2, 3, 4, extras={"x": msgspec.Raw(b"1e400")}, beside=(Beside(Usage(9), "m"),))
    found.stream_error = WireError("overloaded", "Too much.", 529, retry_after=2.0)
    found.attempts, found.failed, found.reasons = ["x: 429"], ("x",), ("because",)
    found.losses, found.gaps = (Loss("top_k", "top_k", "why"),), gaps
    found.close(2.5, Outcome.BROKEN_OFF, "it broke")
    return found


def test_a_record() -> None:
    """Everything of it, so that log, ledger, metrics and page can be made of the copy."""
    before = record()
    after = from_worker(encode(Ended(7, 1, portable(before))))
    assert isinstance(after, Ended)
    assert fields_of(after.record) == fields_of(before)
    assert after.record.gaps is not None
    assert after.record.gaps.counts == before.gaps.counts  # type: ignore[union-attr]
    assert after.record.usage == Usage(1, 2, 3, 4, beside=(Beside(Usage(9), "m"),))
    assert before.usage.extras  # type: ignore[union-attr]  its own is as it was
    for name in ("stream_error", "losses", "reasons", "failed", "outcome"):
        assert getattr(after.record, name) == getattr(before, name)
    assert isinstance(from_worker(encode(Begun(7, portable(before)))), Begun)


def test_half_a_character() -> None:
    """A client may name a model by what no text can hold."""
    before = record()
    before.asked, before.usage = "\ud800x", None
    after = from_worker(encode(Begun(1, portable(before))))
    assert isinstance(after, Begun)
    assert after.record.asked == "\\ud800x"


def test_others() -> None:
    """Values of either side."""
    entry = Entry("cooldown", "k", b"v", 3.0)
    beat = Beat(1, 2, 3, 4, 0.5, lags=(0.1,))
    for message in (beat, Note("route", ("GET", "/x", "c", "y")), Visit(("::1", 5), ("", 0), True, ("h", 1))):
        assert from_worker(encode(message)) == message
    for other in (Accept((0, 2)), Arrived(entry, None), Arrived(entry, 4)):
        assert from_supervisor(encode(other)) == other
