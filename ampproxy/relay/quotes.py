"""What others sent, as it may be shown in an error or a log."""

from __future__ import annotations

from ampproxy.wire.redact import Redactor, printable

#: So much is looked through for secrets. Bytes.
QUOTED = 2048
#: So much of it is shown. Characters.
SHOWN = 120


def quoted(body: bytes, redactor: Redactor) -> str:
    """The first words of a body, in one line without control characters, without the secrets that are known
    or have the usual shapes; empty if there are none.
    """
    text = " ".join(body[:QUOTED].decode("utf-8", "replace").split())
    if len(body) >= QUOTED:
        # Half of a secret would not be known for one.
        before, _, last = text.rpartition(" ")
        text = text if len(last) > QUOTED // 2 else before
    text = printable(redactor.text(text))
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
