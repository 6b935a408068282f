"""Requests by what accounts have taught, and what a refusal teaches.

A refusal before the first byte that names a member or a value is answered by leaving out or bending exactly
that, and by asking the same account once more. What has proven right is done at once from then on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from twisted.logger import Logger

from ampproxy.credentials.lessons import Key, Lessons
from ampproxy.credentials.outcomes import classify_fault
from ampproxy.errors import ExchangeError
from ampproxy.model.base import Value
from ampproxy.model.lesson import STATUSES, Lesson
from ampproxy.providers import Provider
from ampproxy.relay.bridge import Bridge, ModelRequest
from ampproxy.relay.record import ExchangeRecord
from ampproxy.routing.route import RouteTarget
from ampproxy.wire.json import members
from ampproxy.wire.redact import LOOKED_AT, printable
from ampproxy.wire.values import encode

#: It decides which members Anthropic takes.
_BETA = b"anthropic-beta"
#: How llama.cpp and Ollama report that a model's template does not take a conversation.
_FAULT = 500
_OF_TEMPLATES = ("System message must be", "roles must alternate", "Jinja Exception")
#: The kinds of errors that may teach something.
_TEACHING = frozenset(("invalid_request", "context_length"))
#: What takes nothing from what a request says.
_HARMLESS = frozenset(("rename", "as-text", "no-blanks", "thoughts"))
#: So much of a refusal is kept until it has been read. Bytes.
MAX_READ_BYTES = 64 * 1024
#: So often a request is repeated at most: servers name one member at a time.
MOST_REPEATS = 3


class Taught(Value, frozen=True):
    """What a refusal has taught, until the request that is repeated by it has shown whether that is right."""

    lessons: Lessons
    key: Key
    learned: tuple[Lesson, ...]

    async def repeated(self, ask: Callable[[], Awaitable[None]], record: ExchangeRecord) -> None:
        """Ask again, and judge by how that goes."""
        try:
            await ask()
        except BaseException as failure:
            if record.first_byte is None:
                self._failed(failure if isinstance(failure, ExchangeError) else None)
                raise
            self._proven()
            raise
        self._proven()

    def _proven(self) -> None:
        self.lessons.prove(self.key, [lesson for lesson in self.learned if not lesson.once])
        self._forget_passing()

    def _forget_passing(self) -> None:
        if passing := [lesson for lesson in self.learned if lesson.once]:
            self.lessons.disprove(self.key, passing)

    def _failed(self, refusal: ExchangeError | None) -> None:
        """Believe it only if the account refuses something else by now.

        :param refusal: ``None``: nothing is known, as where the client left.
        """
        named = "" if refusal is None else refusal.error.message
        refuses = refusal is not None and refusal.error.status in STATUSES
        wrong = [lesson for lesson in self.learned if lesson.once or not refuses or lesson.place[-1] in named]
        self.lessons.prove(self.key, [lesson for lesson in self.learned if lesson not in wrong])
        self.lessons.disprove(self.key, wrong)


#: The request is to be repeated, and nothing is learned by how that goes.
REPEATED = Taught(Lessons(), Key("", "", ""), ())


class Learner:
    """What one configuration's exchanges do about refusals.

    :param lessons: what was learned of all accounts.
    :param providers: how each account is reached, by its label.
    :param strict: what takes something from what a request says is neither learned nor done.
    """

    def __init__(
        self, lessons: Lessons, providers: Mapping[str, Provider], log: Logger, *, strict: bool
    ) -> None:
        self.lessons = lessons
        self._providers = providers
        self._log = log
        self._strict = strict

    def knows(self, question: ModelRequest, offer: RouteTarget, spoken: str) -> bool:
        """Whether a request may have to be changed."""
        return offer.account.learning and bool(self.lessons.of(self._key(question, offer, spoken)))

    def bend(self, bridge: Bridge, question: ModelRequest, offer: RouteTarget, spoken: str) -> None:
        """Change a bridge's body by what its account has taught.

        :param spoken: the account's dialect.
        """
        if not offer.account.learning:
            return
        key = self._key(question, offer, spoken)
        lessons = self._meant(self.lessons.of(key))
        if not lessons:
            return
        # Not at the top: most accounts refuse nothing.
        from ampproxy.dialects.bending import bent, loss_of

        body, losses, used = bent(bridge.body, lessons)
        if used:
            bridge.body, bridge.losses = body, (*bridge.losses, *losses)
            self.lessons.used(key, used)
        for lesson in lessons:
            if lesson.act == "betas":
                kept = ",".join(beta for beta in _betas(question) if beta not in lesson.words)
                bridge.headers = {**bridge.headers, _BETA.decode(): kept}
                bridge.losses = (*bridge.losses, loss_of(lesson))
                self.lessons.used(key, (lesson,))

    def may_learn(self, refusal: ExchangeError, offer: RouteTarget) -> bool:
        """Whether a failure is of those that can teach."""
        error = refusal.error
        if (
            offer.account.learning
            and error.status == _FAULT
            and any(word in error.message for word in _OF_TEMPLATES)
        ):
            return True
        if not offer.account.learning or error.status not in STATUSES or error.kind not in _TEACHING:
            return False
        verdict = getattr(refusal, "verdict", None) or classify_fault(refusal)
        return not verdict.try_next

    def look(self, refusal: ExchangeError, sent: bytes) -> tuple[Lesson, ...]:
        """What a refusal teaches. It may be called in any thread.

        :param sent: the request's body as the account got it.
        """
        # Not at the top: its patterns take long to compile, and most accounts refuse nothing.
        from ampproxy.dialects.refusals import lessons_of

        return self._meant(lessons_of(_words(refusal), _inner(sent)))

    def learn(
        self,
        found: tuple[Lesson, ...],
        refusal: ExchangeError,
        question: ModelRequest,
        offer: RouteTarget,
        spoken: str,
    ) -> Taught | None:
        """Learn what :meth:`look` found; ``None``: it was nothing."""
        key = self._key(question, offer, spoken)
        if not found and spoken == question.endpoint.dialect and not self._strict:
            found = _of_betas(refusal, question)
        if not found:
            self._doubt(key, refusal.error.message)
            return None
        self.lessons.learn(key, found)
        for lesson in found:
            self._log.info(
                "{account} refuses {member} for {model} ({reason}): from now on it {about}",
                account=offer.account.label,
                member=printable(lesson.name[:LOOKED_AT]),
                model=offer.upstream_model,
                reason=printable(refusal.error.message[:LOOKED_AT]),
                about=printable(lesson.about[:LOOKED_AT]),
            )
        return Taught(self.lessons, key, found)

    def _key(self, question: ModelRequest, offer: RouteTarget, spoken: str) -> Key:
        call = f"{spoken} {question.endpoint.operation.value}"
        betas = sorted(_betas(question))
        name = self._providers[offer.account.label].name
        return Key(name, offer.upstream_model, " ".join((call, *betas)))

    def _meant(self, lessons: Iterable[Lesson]) -> tuple[Lesson, ...]:
        """Those that count: under ``translation: strict`` such as take nothing from what a request says."""
        return tuple(lesson for lesson in lessons if not self._strict or lesson.act in _HARMLESS)

    def _doubt(self, key: Key, message: str) -> None:
        """A request that was changed by what is known was refused: forget what the refusal is about."""
        doubtful = [lesson for lesson in self.lessons.of(key) if lesson.place[-1] in message]
        if doubtful:
            self.lessons.disprove(key, doubtful)


def _betas(question: ModelRequest) -> list[str]:
    """The values of the client's ``anthropic-beta``."""
    return [
        item.strip().decode("latin-1")
        for value in question.headers.get(_BETA, ())
        for item in value[:LOOKED_AT].split(b",")
    ]


def _of_betas(refusal: ExchangeError, question: ModelRequest) -> tuple[Lesson, ...]:
    """What a refusal teaches of betas, which stand in a header."""
    # Not at the top: its patterns take long to compile, and most accounts refuse nothing.
    from ampproxy.dialects.refusal_words import betas_in

    refused = betas_in(refusal.error.message, tuple(filter(None, _betas(question))))
    return (Lesson((_BETA.decode(),), "betas", refused),) if refused else ()


def _words(refusal: ExchangeError) -> bytes:
    """The refusal as its vendor worded it. One within a stream has been read already."""
    raw: bytes = getattr(refusal, "raw", b"")
    if raw:
        return raw
    error = refusal.error
    return encode({"error": {"message": error.message, "param": error.param, "code": error.code}})


def _inner(sent: bytes) -> bytes:
    """The request without what its vendor has around it: Code Assist's envelope."""
    found = members(sent) or {}
    envelope = "request" in found and found.keys() <= {"project", "model", "request"}
    return bytes(found["request"]) if envelope else sent
