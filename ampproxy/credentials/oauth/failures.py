"""What can go wrong with a login.

::

    LoginError
    +-- Refused        the vendor said no, for good: asking again in the same way is no use
    +-- Unavailable    no answer, or a temporary one: asking again later may do
    +-- BadFile        a file of auth-dir is not what it should be

No message holds a token.
"""

from __future__ import annotations

from ampproxy.errors import AmpproxyError

#: By these codes a vendor says that a refresh token is spent: only a new login helps. OAuth has the first
#: (RFC 6749, section 5.2); the others are OpenAI's.
SPENT = frozenset(
    (
        "invalid_grant",
        "refresh_token_expired",
        "refresh_token_reused",
        "refresh_token_invalidated",
    )
)


class LoginError(AmpproxyError):
    """Something about a login failed."""


class Refused(LoginError):
    """The vendor refused.

    :ivar code: its word for why; may be empty.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code

    @property
    def spent(self) -> bool:
        """Whether the refresh token is used up or revoked, so that the user must log in again."""
        return self.code in SPENT


class Unavailable(LoginError):
    """The vendor cannot be asked now.

    :ivar retry_after: seconds that it wants us to wait, if it said.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadFile(LoginError):
    """A file is not a login's."""
