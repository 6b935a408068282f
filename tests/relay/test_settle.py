"""What becomes of an answer's events before they are rendered."""

from __future__ import annotations

from ampproxy.model.base import ANTHROPIC, CHAT, Json
from ampproxy.model.events import Completed, Finished, PartClosed, PartExtras, PartStarted, Started
from ampproxy.model.parts import Opaque, Text
from ampproxy.relay.settle import Settling


def test_nothing_follows_a_part_that_is_left_out() -> None:
    """What comes later for a part that the client's dialect does not have refers to nothing it was shown."""
    settling = Settling(one=True, client=CHAT)
    given = settling.feed(
        [
            Started(dialect=ANTHROPIC),
            PartStarted(0, Opaque(ANTHROPIC, "container_upload", Json(b'{"type":"container_upload"}'))),
            PartExtras(0, {"citations": Json(b"[]")}),
            PartClosed(0),
            PartStarted(1, Text("words")),
            PartClosed(1),
            Finished("stop"),
            Completed(),
        ]
    )
    assert not any(isinstance(event, PartExtras) for event in given)
    assert [event.index for event in given if isinstance(event, PartStarted)] == [1]
    assert "opaque" in {loss.kind for loss in settling.losses}
