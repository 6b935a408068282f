"""When a token is due, and its renewal: one at a time across processes, on the disk before it is used."""

from __future__ import annotations

from collections.abc import Callable

from ampproxy.config.schema import OAuthClient
from ampproxy.credentials.oauth.effects import Flow, Sleep
from ampproxy.credentials.oauth.failures import Refused, Unavailable
from ampproxy.credentials.oauth.formats import Kind, Login, with_tokens
from ampproxy.credentials.oauth.protocol import DEFAULT_LIFETIME, Tokens
from ampproxy.credentials.oauth.store import Lock, Store
from ampproxy.model.base import Value

#: Seconds before its end at which a vendor's token is renewed.
LEAD: dict[Kind, float] = {"claude": 4 * 3600.0, "codex": 5 * 86400.0, "gemini": 300.0}
#: How long tokens live at each vendor, for files that do not tell.
_LIFETIME: dict[Kind, float] = {"claude": 8 * 3600.0, "codex": 10 * 86400.0, "gemini": DEFAULT_LIFETIME}
#: A token is renewed while at least this part of its life is left, and at most that part.
_MIN_SHARE, _MAX_SHARE = 0.1, 0.5
#: The part of the lead by which renewals are spread.
_JITTER = 0.1
#: Tries within one renewal, and the pauses between them in seconds.
PAUSES = (1.0, 4.0)
#: The longest pause that is waited for within a renewal; a longer one ends it.
_MAX_PAUSE = 30.0
#: What is believed of a Retry-After.
RETRY_AFTER = (5.0, 300.0)
#: How long another process may keep us waiting for the lock.
_LOCK_WAIT = 120.0
_LOCK_STEP = 0.25
#: Tries to write tokens that the vendor has given, and the seconds between them.
_WRITES, _WRITE_STEP = 5, 1.0

#: A vendor's own way to ask for new tokens with an old login.
Renew = Callable[[OAuthClient, Login, Callable[[], float]], Flow[Tokens]]


def ends_at(login: Login, now: float) -> float | None:
    """When the access token ends, by our own clock. A file that was written in the future comes from a
    clock that runs ahead of ours, and its times are set back by as much.
    """
    ends, wrote = login.expires_at, login.last_refresh
    if ends is None:
        return None
    return ends - max(0.0, (wrote or 0.0) - now)


def due_at(login: Login, now: float, jitter: float = 0.0) -> float:
    """When the login should be renewed; in the past if it should be at once.

    :param jitter: 0 to 1, the login's own: spreads the renewals of several.
    """
    ends = ends_at(login, now)
    if not login.access_token:
        return now
    if ends is None:
        wrote = login.last_refresh
        return now if wrote is None else wrote + _LIFETIME[login.kind] * (1 - _MAX_SHARE)
    lifetime = _LIFETIME[login.kind]
    if login.last_refresh is not None:
        lifetime = max(1.0, ends - min(login.last_refresh, now))
    lead = min(max(LEAD[login.kind] * (1 + _JITTER * jitter), lifetime * _MIN_SHARE), lifetime * _MAX_SHARE)
    return ends - lead


class Renewed(Value, frozen=True):
    """How a renewal ended.

    :param login: as the file has it now; ``None``: the file is gone.
    :param ours: whether we asked the vendor, rather than another process.
    :param unsaved: what could not be put on the disk: the login that the tokens were got for, the tokens,
        and why. They are in ``login`` alone, and must be written before the next renewal.
    """

    login: Login | None
    ours: bool = False
    unsaved: tuple[Login, Tokens, str] | None = None


def renewal(
    store: Store,
    known: Login,
    client: OAuthClient,
    renew: Renew,
    *,
    now: Callable[[], float],
    force: bool = False,
    jitter: float = 0.0,
    held: Callable[[], bool] = lambda: True,
) -> Flow[Renewed]:
    """Renew a login, unless somebody else has.

    :param known: the login as we have it.
    :param now: seconds since the epoch.
    :param force: also if it is not due: the vendor refused its access token.
    :param held: whether other machines still leave it to us.
    :raises Refused: the vendor gives no more tokens for it.
    :raises Unavailable: it cannot be asked now, or another process takes too long.
    :raises OSError: the folder cannot be written; no token was spent.
    """
    # Counted, not measured: the clock may be set meanwhile.
    waited = 0.0
    while (lock := _lock(store, known.name)) is None:
        if waited > _LOCK_WAIT:
            raise Unavailable("another process has been renewing this login for too long")
        yield Sleep(_LOCK_STEP)
        waited += _LOCK_STEP
    if isinstance(lock, Renewed):
        return lock
    with lock:
        login = store.read(known.name)
        if login is None:
            return Renewed(None)
        fresh = login.access_token != known.access_token
        if fresh or (not force and due_at(login, now(), jitter) > now()):
            return Renewed(login)
        if not login.refresh_token:
            raise Refused("the file has no refresh token", "invalid_grant")
        store.rehearse(login.name)
        tokens, login = yield from _ask(store, login, client, renew, now, held)
        if tokens is None:
            return Renewed(login)
        return (yield from _write(store, login, tokens, now))


def _lock(store: Store, name: str) -> Lock | Renewed | None:
    try:
        return store.lock(name, make=False)
    except FileNotFoundError:
        return Renewed(None)


def _ask(
    store: Store,
    login: Login,
    client: OAuthClient,
    renew: Renew,
    now: Callable[[], float],
    held: Callable[[], bool],
) -> Flow[tuple[Tokens | None, Login]]:
    """New tokens from the vendor; without any, the login as another program has renewed it."""
    pauses = list(PAUSES)
    while True:
        if not held():
            raise Unavailable("this took longer than another process may be kept waiting")
        try:
            return (yield from renew(client, login, now)), login
        except Refused as refusal:
            # A program that does not know our locks may have spent the token before us.
            current = store.read(login.name)
            if not refusal.spent or current is None or current.refresh_token == login.refresh_token:
                raise
            return None, current
        except Unavailable as error:
            if not pauses:
                raise
            pause = pauses.pop(0)
            if error.retry_after is not None:
                pause = min(max(error.retry_after, RETRY_AFTER[0]), RETRY_AFTER[1])
            if pause > _MAX_PAUSE:
                raise Unavailable(str(error), pause) from None
            yield Sleep(pause)


def _write(store: Store, login: Login, tokens: Tokens, now: Callable[[], float]) -> Flow[Renewed]:
    """Put new tokens on the disk, whatever it takes: the old ones are worth nothing any more."""
    for left in reversed(range(_WRITES)):
        try:
            return Renewed(store.update(login, tokens, now()), ours=True)
        except OSError as error:
            if not left:
                document = with_tokens(login, tokens, now())
                fresh = Login(login.name, login.kind, document)
                return Renewed(fresh, True, (login, tokens, str(error.strerror or error)))
            yield Sleep(_WRITE_STEP)
    raise AssertionError("unreachable")
