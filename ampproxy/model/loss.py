"""What a translation could not say."""

from __future__ import annotations

from ampproxy.model.base import Value


class Loss(Value, frozen=True):
    """Something that the target dialect or model cannot express and that was left out or bent.

    :param kind: a short stable word for counting: ``top_k``, ``cache_control``, ``foreign_proof``.
    :param path: where it stood, in the vocabulary: ``turns[3].parts[0]``.
    :param why: one sentence for a person.
    """

    kind: str
    path: str
    why: str
