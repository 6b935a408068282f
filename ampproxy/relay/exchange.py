"""A question of a client, asked of one account after another until one answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec
from twisted.internet.task import deferLater

from ampproxy.catalog.lifecycle import day_of
from ampproxy.config.schema import Account, TokenSource
from ampproxy.credentials.outcomes import RETIRED, Verdict, classify, classify_fault, for_account
from ampproxy.credentials.pool import Selection
from ampproxy.errors import ClientGone, ExchangeError, UpstreamFault, bare
from ampproxy.http.headers import FixedHeaders
from ampproxy.model.events import WireError
from ampproxy.providers import Call
from ampproxy.providers.base import Header
from ampproxy.relay.bridge import Bridge, ModelRequest
from ampproxy.relay.delivery import Delivery
from ampproxy.relay.downstream import Downstream
from ampproxy.relay.exhausted import Attempt, exhausted, lacks_call
from ampproxy.relay.forward import ClientWatch
from ampproxy.relay.learning import MAX_READ_BYTES, MOST_REPEATS, REPEATED, Taught
from ampproxy.relay.losses import answer_header
from ampproxy.relay.pinning import PROOF_STATUSES
from ampproxy.relay.record import ExchangeRecord
from ampproxy.relay.retirement import MODEL_STATUSES, retired
from ampproxy.relay.settings import ExchangeSettings
from ampproxy.relay.workers import REQUEST_OBJECTS, SMALL, takes_long
from ampproxy.routing.route import RouteTarget
from ampproxy.upstream.body import BytesProducer
from ampproxy.upstream.codings import ACCEPTED
from ampproxy.upstream.failures import died_unanswered, explain
from ampproxy.wire.redact import LOOKED_AT, Redactor, Secret, printable

#: Errors are sentences; what is longer is a page of somebody's load balancer.
MAX_ERROR = 1024 * 1024

#: Seconds before the second round over all accounts; doubles with each.
FIRST_PAUSE = 0.5


#: Seconds that a login's token is given to be renewed after its vendor refused it, and between two looks.
RENEWAL, _LOOK_AGAIN = 5.0, 0.1


class AccountError(UpstreamFault):
    """An account answered with an error status.

    :ivar body: the error as the client gets it.
    :ivar headers: those of the vendor's headers that it gets too.
    :ivar verdict: what the error means for the account.
    :ivar raw: the beginning of the error as the vendor sent it.
    """

    def __init__(
        self,
        error: WireError,
        *,
        verdict: Verdict,
        body: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        raw: bytes = b"",
    ) -> None:
        super().__init__(error, retryable=verdict.try_next)
        self.verdict = verdict
        self.body = body
        self.headers = headers
        self.raw = raw


@lru_cache(maxsize=64)
def _sent_headers(headers: tuple[Header, ...]) -> FixedHeaders:
    """Those of a call, as they are sent: an account's are mostly the same again and again."""
    return FixedHeaders((*(header for header in headers if header[0] != ACCEPTED[0]), ACCEPTED))


class Exchange:
    """One question, until it is answered or everybody has failed.

    :param allows: whether an account may still be asked: a reload may take one from a client.
    :ivar lacks_call: nobody served, and one of them because it has not got this call.
    """

    def __init__(
        self,
        question: ModelRequest,
        downstream: Downstream,
        record: ExchangeRecord,
        settings: ExchangeSettings,
        allows: Callable[[RouteTarget], bool] = lambda _: True,
    ) -> None:
        self._question = question
        self._downstream = downstream
        self._record = record
        self._settings = settings
        self._config, self._runtime = settings.config, settings.runtime
        self._allows = allows
        self._client_watch = ClientWatch(downstream)
        self._delivery = Delivery(question, downstream, record, settings, self._client_watch)
        self._attempts: list[Attempt] = []
        self._unreported: list[tuple[str, WireError]] = []
        self._failure: ExchangeError | None = None
        self._waited = 0.0
        self._sent = b""
        self._repeats = 0
        #: Whether the account that was asked last began an answer.
        self._answered = False
        self._bootstraps = 0
        self.lacks_call = False

    async def run(self, tries: Selection) -> None:
        """Ask one account after the other, as long as nothing has been sent to the client; where all fail,
        wait for the first to be back, if that is allowed and worth it, and begin anew.

        :raises ExchangeError: nobody answered: the failure of the only account that was asked, as its
            vendor tells it, or one error that tells of them all.
        :raises ClientGone: the client left; the upstream was closed.
        """
        if tries.shared and (claimed := tries.claim(self._runtime.clock.seconds())) is not None:
            await self._client_watch.wait_for(claimed)
        for number in range(self._config.request_retry + 1):
            if number and not await self._paused(tries, number):
                break
            while (offer := tries.next(self._runtime.clock.seconds())) is not None:
                if not self._allows(offer):
                    tries.abandoned()
                elif await self._served(offer, tries):
                    return
        raise self._no_account(tries)

    async def _served(self, offer: RouteTarget, tries: Selection) -> bool:
        """Whether this account answered; if not, another may.

        :raises ExchangeError: no other account could help.
        """
        try:
            await self._asked(offer, tries)
        except ExchangeError as error:
            if self._record.first_byte is not None or not _others_may_help(error):
                self._keep(offer, error)
                tries.abandoned()
                raise
            self._note(offer, error, tries)
            return False
        except BaseException:
            tries.abandoned()
            raise
        if self._unreported:
            self._report_others()
        return True

    def _report_others(self) -> None:
        """Tell of those that failed and were not the only one: of that the exchange's own line tells, and of
        whom the pool has told, it has said why.
        """
        for label, error in self._unreported:
            self._runtime.log.warn(
                "{account} failed for {model}: {status} {said}",
                account=label,
                model=self._question.requested_model,
                status=error.status,
                said=printable(error.message[:LOOKED_AT]),
            )

    def _note(self, offer: RouteTarget, failure: ExchangeError, tries: Selection) -> None:
        """An account failed: tell the pool and the log."""
        runtime, label = self._runtime, offer.account.label
        if isinstance(failure, AccountError):
            verdict = failure.verdict
        else:
            words = self._settings.redactor.known(failure.error.message)
            failure.error = msgspec.structs.replace(failure.error, message=words)
            verdict = classify_fault(failure)
        error, verdict = failure.error, for_account(verdict, offer.account)
        back = tries.failed(verdict, runtime.clock.seconds(), runtime.wall())
        self._attempts.append(Attempt(label, verdict, back, error))
        self._keep(offer, failure)
        bare(failure)
        self._failure = failure
        if not tries.reported:
            self._unreported.append((label, error))

    def _keep(self, offer: RouteTarget, failure: ExchangeError) -> None:
        """Keep the failed attempt for the log and the metrics."""
        record, account = self._record, offer.account
        record.attempts.append(f"{account.label}: {failure.error.status} {failure.error.message}")
        record.failed += (self._settings.providers[account.label].name,)

    async def _paused(self, tries: Selection, number: int) -> bool:
        """Wait until an account may be asked again; says whether it is worth it.

        :raises ClientGone: the client left meanwhile.
        """
        runtime = self._runtime
        wait = tries.wait(runtime.clock.seconds())
        if wait is None:
            return False
        wait = max(wait, FIRST_PAUSE * 2.0 ** (number - 1))
        if self._waited + wait > self._config.max_retry_interval:
            return False
        self._waited += wait
        runtime.log.info(
            "All accounts for {model} are cooling down; retrying in {seconds:.1f} s",
            model=self._question.requested_model,
            seconds=wait,
        )
        await self._client_watch.wait_for(deferLater(runtime.clock, wait))
        tries.again()
        return True

    def _no_account(self, tries: Selection) -> ExchangeError:
        """What the client is told when nobody served."""
        now = self._runtime.clock.seconds()
        wait, failure = tries.wait(now), self._failure
        asked = {attempt.label for attempt in self._attempts}
        cooling = [
            Attempt(account.label, cooldown.verdict, max(0.0, cooldown.until - now))
            for account, cooldown in tries.cooling()
            if account.label not in asked
        ]
        self.lacks_call = lacks_call([*self._attempts, *cooling])
        gone = all(attempt.verdict is RETIRED for attempt in self._attempts) and not cooling
        alone = len(self._attempts) == 1 and not self._attempts[0].key_refused
        if failure is not None and (alone or gone):
            if failure.error.retry_after is None and wait and self._attempts[0].verdict.is_temporary:
                failure.error = msgspec.structs.replace(failure.error, retry_after=wait)
            return failure
        # This error's first line, which the exchange's own line has, names nobody.
        self._report_others()
        wait = None if wait is None else max(wait, 1.0)
        return exhausted(
            self._question.requested_model, self._attempts, cooling, count=tries.count, wait=wait
        )

    async def _asked(self, offer: RouteTarget, tries: Selection) -> None:
        """Ask this account; again where its refusal tells what to leave out or to bend, and where
        its stream broke off before its first event and no other is left.
        """
        usual = ask = partial(self._ask, offer, tries)
        while True:
            self._answered = False
            try:
                await ask()
                return
            except ExchangeError as failure:
                taught = await self._taught(failure, offer)
                if taught is not None:
                    ask = partial(taught.repeated, usual, self._record)
                    continue
                if not self._begins_again(failure, tries):
                    raise
                self._bootstraps += 1
                self._keep(offer, failure)
                ask = usual

    def _begins_again(self, failure: ExchangeError, tries: Selection) -> bool:
        """Whether a stream that broke off before anything of it went to the client is asked for once more."""
        return (
            self._bootstraps < self._config.streaming.bootstrap_retries
            and self._question.stream
            and self._answered
            and self._record.first_byte is None
            and _others_may_help(failure)
            and not tries.has_another(self._runtime.clock.seconds())
        )

    async def _taught(self, refusal: ExchangeError, offer: RouteTarget) -> Taught | None:
        """What a refusal teaches, a few times in an exchange and before the first byte; ``None``: nothing."""
        learner, sent, self._sent = self._settings.learner, self._sent, b""
        if self._repeats >= MOST_REPEATS or self._record.first_byte is not None or not sent:
            return None
        if self._settings.pinning is not None and refusal.error.status in PROOF_STATUSES:
            refuses = partial(self._settings.pinning.refuses_proofs, refusal, self._question, offer, sent)
            if refuses():
                self._repeats = MOST_REPEATS
                return REPEATED
        if learner is None or not learner.may_learn(refusal, offer):
            return None
        found = await self._apart(partial(learner.look, refusal, sent), sent)
        spoken = self._settings.bridges.spoken(self._question, offer)
        taught = learner.learn(found, refusal, self._question, offer, spoken)
        if taught is not None:
            self._repeats += 1
            line = f"{offer.account.label}: {refusal.error.status} {refusal.error.message}"
            self._record.attempts.append(line)
        return taught

    async def _ask(self, offer: RouteTarget, tries: Selection) -> None:
        bridges = self._settings.bridges
        long = len(self._question.body) > SMALL and bridges.take_long(self._question, offer)
        bridge = await self._bridge_apart(offer) if long else bridges(self._question, offer)
        provider, pinning = self._settings.providers[offer.account.label], self._settings.pinning
        left = tries.left
        if pinning is not None and pinning.pins.empty and left is None:
            pinning = None  # No proof is known of, and none is brought from another account.
        if pinning is not None and pinning.may_sort(self._question, offer, bridge.body, left):
            found = await self._apart(
                partial(pinning.sort, self._question, offer, bridge.body, left), bridge.body
            )
            pinning.take(found, bridge, left)
        self._sent = bridge.body
        self._record.account, self._record.account_name = offer.account.label, provider.name
        self._record.served = offer.upstream_model
        self._record.losses = bridge.losses
        question = self._question
        if question.shows_losses:
            answer_header(question.headers, self._downstream.responseHeaders, bridge.losses)
        call = self._call(question, offer, bridge)
        origin = f"{offer.account.label} ({offer.account.base_url})"
        response = await self._send(call, bridge, offer.account, origin)
        if response.code == 401 and await self._renewed(response, call, offer):
            again = self._call(question, offer, bridge)
            response = await self._send(again, bridge, offer.account, origin)
            call = again
        tries.saw(response.headers, self._runtime.wall())
        if 300 <= response.code < 400:
            await self._delivery.collect(response, MAX_ERROR)
            raise UpstreamFault.of(
                "unavailable",
                f"{origin} redirects to another address, which is not followed: the key belongs to its own"
                " origin. Check the base-url of the account.",
                retryable=True,
            )
        if response.code >= 400:
            raise await self._account_error(response, bridge, self._token_of(call, offer, response.code))
        self._answered = True
        await self._delivery.serve(response, bridge, origin, partial(self._succeeded, tries, offer), offer)

    async def _apart(self, work: Callable[[], Any], body: bytes) -> Any:
        """What is done with a body, in a thread where it would take long."""
        if takes_long(body, REQUEST_OBJECTS):
            return await self._client_watch.wait_for(self._runtime.workers.run(work, len(body)))
        return work()

    def _succeeded(self, tries: Selection, offer: RouteTarget, beginning: bytes) -> None:
        """The account serves: what its answer issues is its own, and what it was sent is not needed again."""
        self._sent = b""
        tries.succeeded()
        if self._settings.pinning is not None:
            self._settings.pinning.served(self._question, offer, beginning)

    def _call(self, question: ModelRequest, offer: RouteTarget, bridge: Bridge) -> Call:
        return self._settings.providers[offer.account.label].call(
            question.endpoint,
            offer.upstream_model,
            stream=question.stream,
            query=question.query,
            headers=question.headers,
            extra=bridge.headers,
            spoken=bridge.spoken,
        )

    async def _renewed(self, response: Any, call: Call, offer: RouteTarget) -> bool:
        """Whether a login's token that its vendor refused is another one now, so that it is worth to ask once
        more: a vendor may take back a token before its time, while it can be renewed.
        """
        source, token = offer.account.token, self._token_of(call, offer, response.code)
        if source is None or token is None:
            return False
        clock = self._runtime.clock
        until = clock.seconds() + RENEWAL
        while _same_token(source, token) and clock.seconds() < until:
            await self._client_watch.wait_for(deferLater(clock, _LOOK_AGAIN))
        if _same_token(source, token):
            return False
        try:
            await self._delivery.collect(response, MAX_ERROR)
        except UpstreamFault:
            pass  # what it had to say is of no use any more
        return True

    async def _bridge_apart(self, offer: RouteTarget) -> Bridge:
        bridges, question = self._settings.bridges, self._question
        made: Bridge = await self._client_watch.wait_for(
            self._runtime.workers.run(partial(bridges, question, offer), len(question.body))
        )
        return made

    async def _send(self, call: Call, bridge: Bridge, account: Account, origin: str) -> Any:
        """The answer's headers. A kept connection that the other side had closed is tried once more."""
        headers = _sent_headers(call.headers)
        method, url = call.method.decode(), call.url.decode()
        config, runtime = self._config, self._runtime
        proxy = account.proxy_url or config.proxy_url
        for again in (False, True):
            sending = runtime.client.send(method, url, headers, BytesProducer(bridge.body), proxy)
            if self._record.sent is None:
                self._record.sent = runtime.clock.seconds()
                if runtime.departing is not None:
                    runtime.departing(self._record)
            try:
                return await self._client_watch.wait_for(
                    sending, runtime.deadlines, config.timeouts.first_byte
                )
            except (ClientGone, ExchangeError):
                raise
            except Exception as error:
                if again or not died_unanswered(error):
                    raise explain(error, origin, serving=True) from None
        raise AssertionError("unreachable")

    def _token_of(self, call: Call, offer: RouteTarget, status: int) -> Secret | None:
        """The login's token that the call carried; one that was refused is renewed."""
        source = offer.account.token
        if source is None:
            return None
        sent = dict(call.headers).get(b"authorization", b"").decode("latin-1")
        token = Secret(sent.removeprefix("Bearer "))
        if status == 401:
            source.refused(token)
        return token

    async def _account_error(self, response: Any, bridge: Bridge, token: Secret | None) -> AccountError:
        try:
            answered = await self._delivery.collect(response, MAX_ERROR)
        except UpstreamFault:
            # What is the matter its status says, too.
            answered = b""
        # Some servers repeat the key that they refuse.
        text = self._settings.redactor.known(answered.decode("utf-8", "replace"))
        if token:
            text = Redactor((token,)).known(text)
        body = text.encode()
        vendor = {
            name.decode("ascii", "replace").lower(): values[-1].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        error = bridge.parse_error(response.code, vendor, body)
        verdict = classify(response.code, error, vendor, body, wall=self._runtime.wall())
        if response.code in MODEL_STATUSES:
            error, verdict, body = self._if_retired(response.code, error, verdict, body)
        if error.retry_after is not None:
            wait = min(error.retry_after, self._settings.longest_wait)
            error = msgspec.structs.replace(error, retry_after=wait)
        return AccountError(
            error,
            verdict=verdict,
            body=bridge.error_body(error, body),
            headers=self._delivery.headers_of(response),
            raw=body[:MAX_READ_BYTES],
        )

    def _if_retired(
        self, status: int, error: WireError, verdict: Verdict, body: bytes
    ) -> tuple[WireError, Verdict, bytes]:
        """The error as one of a model that is gone, if it is; the vendor's body does not count then."""
        question = self._question
        found, meant = retired(
            status,
            error,
            verdict,
            self._record.served,
            self._settings.bridges.families,
            day_of(self._runtime.wall()),
            asked=question.requested_model,
            mappable=question.endpoint.amp,
        )
        return (error, verdict, body) if found is error else (found, meant, b"")


def _same_token(source: TokenSource, token: Secret) -> bool:
    """Whether the login still has this token, though it may get another."""
    try:
        return source.current() == token
    except UpstreamFault:
        # Only a new login helps: the refusal stands.
        return False


def _others_may_help(error: ExchangeError) -> bool:
    """Whether another account may do better. What an account said of a request within an answer of status 200
    is weighed like an error's status.
    """
    if not error.retryable or isinstance(error, AccountError):
        return error.retryable
    return classify_fault(error).try_next
