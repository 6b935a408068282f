"""A login as the providers see it: the token of this moment, and how it is doing."""

from __future__ import annotations

from typing import Literal

from ampproxy.credentials.oauth.formats import Kind, Login
from ampproxy.credentials.oauth.protocol import Tokens, is_token
from ampproxy.credentials.oauth.refresh import due_at, ends_at
from ampproxy.errors import UpstreamFault
from ampproxy.wire.redact import Secret, printable

State = Literal["ok", "renewing", "failing", "needs login"]


class Credential:
    """One login. A :class:`~ampproxy.config.schema.TokenSource`.

    It lives as long as its file; its tokens change in place, so that whoever holds it always has the
    current one.

    :param jitter: 0 to 1, its own: when within the lead its renewal is due.
    :ivar login: the file's content as it was last read or written.
    :ivar error: what went wrong last, or empty; for people.
    :ivar unsaved: tokens that the disk would not take; written before anything else.
    """

    def __init__(self, login: Login, jitter: float, now: float) -> None:
        self.login = login
        self.error = ""
        self.unsaved: tuple[Login, Tokens, str] | None = None
        self.renewing = False
        self.label = label_of(login)
        self._jitter = jitter
        self._needs_login = False
        self._failures = 0
        self._secret = Secret("")
        self._due = 0.0
        self._suspect = ""
        self.take(login, now)

    @property
    def jitter(self) -> float:
        """When within the lead its renewal is due, 0 to 1."""
        return self._jitter

    @property
    def kind(self) -> Kind:
        """Whose login it is."""
        return self.login.kind

    @property
    def state(self) -> State:
        """How it is doing."""
        if self._needs_login:
            return "needs login"
        if self.renewing:
            return "renewing"
        return "failing" if self.error else "ok"

    @property
    def suggestion(self) -> str:
        """The command that helps, or empty."""
        return f"ampproxy login {self.kind}" if self._needs_login else ""

    @property
    def due(self) -> float:
        """When it should be renewed or tried again, in seconds since the epoch."""
        return self._due

    @property
    def forced(self) -> bool:
        """Whether the vendor refused the token that it still has."""
        return bool(self._suspect) and self._suspect == self.login.access_token

    def current(self) -> Secret:
        """The access token of this moment.

        One that seems to have ended is given nevertheless: clocks differ, and the vendor decides.

        :raises UpstreamFault: only a new login helps.
        """
        if self._needs_login or not self._secret:
            raise UpstreamFault.of(
                "authentication",
                f"{self.label} needs a new login: run `ampproxy login {self.kind}`.",
                retryable=True,
            )
        return self._secret

    def ends_at(self, now: float) -> float | None:
        """When the token ends; ``None``: nobody knows."""
        return ends_at(self.login, now)

    def take(self, login: Login, now: float) -> None:
        """The login as the file has it now."""
        if login.access_token != self.login.access_token or login.refresh_token != self.login.refresh_token:
            self._needs_login = False
            self._failures = 0
            self.error = ""
        self.login = login
        self._secret = Secret(login.access_token if is_token(login.access_token) else "")
        if not self._needs_login:
            self._due = due_at(login, now, self._jitter)

    def clock_set(self, now: float) -> None:
        """The wall clock is another one: a pause that was reckoned by the old one would be too long."""
        if not self._needs_login and not self.forced:
            self._due = due_at(self.login, now, self._jitter)

    def renewed(self, login: Login, now: float) -> None:
        """A renewal went well."""
        self._failures = 0
        self.error = ""
        self._needs_login = False
        self._suspect = ""
        self.take(login, now)
        # A vendor whose new tokens are due already must not be asked without end.
        self._due = max(self._due, now + _MIN_INTERVAL_SECONDS)

    def failed(self, error: str, now: float, retry_after: float | None) -> None:
        """A renewal failed, for now."""
        self._failures += 1
        self.error = error
        pause = min(_PAUSE * 2 ** min(self._failures - 1, 8), _MAX_PAUSE_SECONDS)
        self._due = now + max(pause, retry_after or 0.0)

    def lost(self, error: str) -> None:
        """The vendor gives no more tokens for it. The file stays; a change of it is looked at."""
        self.error = error
        self._needs_login = True
        self._due = float("inf")

    def refused(self, token: Secret) -> None:
        """The vendor answered 401 to a request with this token: renew it soon, once for each token."""
        if token == self._secret and self._suspect != token.reveal() and not self._needs_login:
            self._suspect = token.reveal()
            self._due = 0.0


#: Seconds between the end of a renewal that went well and the next.
_MIN_INTERVAL_SECONDS = 30.0
#: Seconds after a failed renewal: the first pause, and the longest.
_PAUSE, _MAX_PAUSE_SECONDS = 15.0, 300.0


def label_of(login: Login) -> str:
    """How logs and errors name a login; the address, or what the file is called."""
    stem = login.name.removesuffix(".json").removeprefix(f"{login.kind}-")
    return printable(f"{login.kind}:{login.email or stem}")
