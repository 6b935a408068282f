"""What is kept of one translated answer, so that its client may refer to it."""

from __future__ import annotations

from ampproxy.dialects.base import References
from ampproxy.dialects.facts import Continued
from ampproxy.relay.bridge import ModelRequest
from ampproxy.relay.remembered import Remembered
from ampproxy.relay.stored import StoredAnswers


class Kept:
    """Keeps what one client is given of an answer that it may refer to.

    :param stored: keeps it whole, too; ``None``: nothing does.
    :param continued: what the client's request was by itself.
    """

    def __init__(
        self,
        remembered: Remembered,
        references: References,
        client: str,
        stored: StoredAnswers | None = None,
        continued: Continued | None = None,
    ) -> None:
        self._remembered = remembered
        self._references = references
        self._client = client
        self._stored = stored
        self._continued = continued

    @classmethod
    def of(
        cls,
        remembered: Remembered,
        stored: StoredAnswers | None,
        references: References,
        question: ModelRequest,
    ) -> Kept | None:
        """``None``: nothing is to be kept.

        :param references: of the client's dialect.
        """
        if not references.stores(question.body):
            return None
        return cls(remembered, references, question.client, stored, question.facts.continued)

    def answer(self, body: bytes) -> None:
        """A whole answer."""
        self._remembered.put(self._client, self._references.of_answer(body))
        self._store(body)

    def events(self, out: bytes) -> None:
        """Whole events of a stream."""
        self._remembered.put(self._client, self._references.of_events(out))
        storing = self._references.storing
        if self._continued is not None and storing is not None:
            self._store(storing.of_events(out))

    def _store(self, answer: bytes | None) -> None:
        stored, continued, storing = self._stored, self._continued, self._references.storing
        if answer is None or stored is None or continued is None or storing is None:
            return
        previous = continued.previous
        body = storing.kept(answer, previous)
        stored.put(self._client, storing.id(answer), previous, continued.items, body)
