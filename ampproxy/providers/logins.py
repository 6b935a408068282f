"""The backends of logins: the vendors' APIs as an access token reaches them.

The token is asked for at each call, for it is renewed now and then. We say who we are: no header or body
pretends to be the vendor's own program.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec.structs import replace

from ampproxy.config.schema import Account
from ampproxy.errors import GatewayFault
from ampproxy.model.base import GEMINI, RESPONSES
from ampproxy.providers.anthropic import Anthropic
from ampproxy.providers.base import OF_KEYS, Call, ClientHeaders, Envelope, Header, Paths, Provider
from ampproxy.providers.envelope import CodeAssistEnvelope, CodexEnvelope
from ampproxy.providers.gemini import Gemini
from ampproxy.providers.openai import OpenAI
from ampproxy.providers.origin import Scope
from ampproxy.routing.endpoints import Endpoint, Operation
from ampproxy.wire.redact import Secret

_BETA = b"anthropic-beta"


class LoginProvider(Provider):
    """A vendor behind a login: its account's ``token`` goes as a bearer, and only below ``base_url``."""

    CREDENTIAL = b"authorization"
    SCHEME = b"Bearer "

    def __init__(self, account: Account) -> None:
        # A key would be put into the fixed headers; a login has none.
        super().__init__(replace(account, api_key=Secret("")))
        self.account = account
        self._forwarded = {
            dialect: tuple(name for name in names if name not in OF_KEYS)
            for dialect, names in self._forwarded.items()
        }
        self._scope = Scope(account.base_url)

    def call(self, *asked: Any, **more: Any) -> Call:
        """As every provider; with the token of this moment.

        :raises ampproxy.errors.UpstreamFault: only a new login helps.
        :raises ampproxy.errors.GatewayFault: the vendor has no such call.
        """
        return self._signed(super().call(*asked, **more))

    def models_call(self, after: str = "") -> Call | None:
        """As every provider; with the token of this moment."""
        call = super().models_call(after)
        return None if call is None else self._signed(call)

    def vendor_call(self, *asked: Any, **more: Any) -> Call:
        """As every provider; with the token of this moment."""
        return self._signed(super().vendor_call(*asked, **more))

    def _signed(self, call: Call) -> Call:
        if self.account.token is None:
            raise GatewayFault.of("internal", f"{self.account.label} has no token.")
        self._scope.check(call.url.decode("ascii"))
        token = self.account.token.current().reveal().encode()
        return Call(
            call.method,
            call.url,
            ((self.CREDENTIAL, self.SCHEME + token), *self._account_headers(call.headers)),
        )

    def _account_headers(self, headers: tuple[Header, ...]) -> tuple[Header, ...]:
        """The headers, with what the backend wants of logins."""
        return headers


class ClaudeLogin(LoginProvider, Anthropic):
    """Anthropic's Messages; a beta header says that the bearer is a login's."""

    #: A login is for models; files and batches are for keys.
    VENDOR = ""

    def _account_headers(self, headers: tuple[Header, ...]) -> tuple[Header, ...]:
        if _BETA in self._custom:
            return headers
        rest = [header for header in headers if header[0] != _BETA]
        asked = [value for name, value in headers if name == _BETA]
        values = [item.strip() for value in asked for item in value.split(b",")]
        names = dict.fromkeys((self.account.beta.encode(), *values))
        joined = b",".join(name for name in names if name)
        return (*rest, (_BETA, joined)) if joined else tuple(rest)


class CodexLogin(LoginProvider, OpenAI):
    """ChatGPT's Responses backend: streams only, and takes fewer parameters than OpenAI's API."""

    PATHS: ClassVar[Paths] = {(RESPONSES, Operation.GENERATE): "responses"}
    #: Its list is for the vendor's own program, which has to say its version.
    LISTING = None
    VENDOR = ""

    def call(self, *asked: Any, headers: ClientHeaders | None = None, **more: Any) -> Call:
        """As every provider; always asks for a stream."""
        without = {name: values for name, values in (headers or {}).items() if name != b"accept"}
        return super().call(*asked, headers=without, **{**more, "stream": True})

    def packed(
        self, endpoint: Endpoint, model: str, body: bytes, *, stream: bool, query: bytes = b""
    ) -> Envelope:
        """The body within the backend's constraints; a whole answer is gathered from its stream."""
        return CodexEnvelope(body)

    def _account_headers(self, headers: tuple[Header, ...]) -> tuple[Header, ...]:
        more: tuple[Header, ...] = ((b"originator", b"ampproxy"),)
        if self.account.tenant:
            more = (*more, (b"chatgpt-account-id", self.account.tenant.encode()))
        given = {name for name, _ in headers}
        return (*headers, *(header for header in more if header[0] not in given))


class GeminiLogin(LoginProvider):
    """Google's Code Assist: Gemini's requests and answers, each within an envelope."""

    PATHS: ClassVar[Paths] = {
        (GEMINI, operation): "v1internal:" for operation in (Operation.GENERATE, Operation.COUNT_TOKENS)
    }

    def call(self, *asked: Any, **more: Any) -> Call:
        """As every provider; streams come as events, whatever the client wants of them."""
        call = super().call(*asked, **{**more, "query": b""})
        # Behind a translation the base class has asked for events already.
        streams = call.url.endswith(b":streamGenerateContent")
        return Call(call.method, call.url + b"?alt=sse", call.headers) if streams else call

    def packed(
        self, endpoint: Endpoint, model: str, body: bytes, *, stream: bool, query: bytes = b""
    ) -> Envelope:
        """The body in its envelope."""
        # Without alt=sse a client of Gemini's own dialect is streamed a JSON list.
        native = endpoint.dialect == GEMINI
        listed = stream and native and b"alt=sse" not in query.replace(b"$", b"").split(b"&")
        counts = endpoint.operation is Operation.COUNT_TOKENS
        return CodeAssistEnvelope(body, model, self.account.tenant, counts=counts, listed=listed)

    def _path(self, endpoint: Endpoint, dialect: str, model: str, stream: bool) -> str:
        if endpoint.operation is Operation.COUNT_TOKENS:
            return "v1internal:countTokens"
        return "v1internal:streamGenerateContent" if stream else "v1internal:generateContent"


class GeminiApiLogin(LoginProvider, Gemini):
    """The public Gemini API with a token of the user's own OAuth client; the project pays."""

    def _account_headers(self, headers: tuple[Header, ...]) -> tuple[Header, ...]:
        if not self.account.tenant or any(name == b"x-goog-user-project" for name, _ in headers):
            return headers
        return (*headers, (b"x-goog-user-project", self.account.tenant.encode()))
