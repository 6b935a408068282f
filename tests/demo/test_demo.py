"""``ampproxy demo`` tells a gateway that works from one that does not."""

from __future__ import annotations

import http.client
import socket
import ssl as plain
import sys

import pytest
import trustme
from twisted.internet import endpoints, reactor, ssl
from twisted.internet.defer import maybeDeferred
from twisted.web.resource import Resource
from twisted.web.server import Site

from ampproxy.cli.demo import table
from ampproxy.demo.cases import CASES
from ampproxy.demo.run import Demo
from ampproxy.testing import anthropic, gemini_rules, openai_chat_rules, openai_responses_rules
from ampproxy.testing.anthropic_rules import MESSAGES
from ampproxy.testing.schema import Mismatch
from tests import forked
from tests.reactor import in_reactor

RUN = "import sys; sys.argv[0] = 'ampproxy'; from ampproxy.cli import main; main()"


class Broken(Resource):
    """A gateway that says yes to everything and asks nobody."""

    isLeaf = True

    def render(self, request):
        request.setHeader("X-Ampproxy-Route", "local")
        return b"{}"


class BrokenService:
    def __init__(self, config, reactor, *, listen, **_):
        self.ports = []
        self._endpoint = endpoints.serverFromString(reactor, listen[0])

    async def listen(self):
        self.ports.append(await self._endpoint.listen(Site(Broken())))

    def startService(self):
        pass

    def stopService(self):
        return maybeDeferred(self.ports[0].stopListening)


def run_demo(build, port=0):
    """Whether all was right, the rows, and what was printed."""
    printed = []
    demo = Demo(reactor, build, lambda text, nl=True: printed.append(text), lambda text, colour: text, table)
    try:
        in_reactor(demo.start, port)
        right = in_reactor(demo.run, timeout=30)
        return right, demo, "\n".join(printed)
    finally:
        in_reactor(demo.stop)


def test_a_broken_gateway_is_called_so():
    """No row is right when the gateway makes its answers up."""
    right, demo, printed = run_demo(BrokenService)
    assert right is False
    assert [outcome.case.what for outcome in demo.outcomes if not outcome.faults] == []
    assert printed.count("WRONG") >= len(CASES)


@pytest.mark.loopback
def test_once():
    """With ``--once`` every row is right, the exit status says so, and no colour codes go into a pipe."""
    done = forked.run(
        [sys.executable, "-c", RUN, "demo", "--once", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    assert "\x1b" not in done.stdout
    for case in CASES:
        assert case.what in done.stdout


#: Runs the demonstration, and is asked twice at once to end when a line begins with the words.
INTERRUPTED = """
import os, signal, sys, click
sys.argv[0] = 'ampproxy'
words, echo = sys.argv.pop(), click.echo
def heard(text='', *rest, **more):
    echo(text, *rest, **more)
    if text.strip().startswith(words):
        from twisted.internet import reactor
        reactor.callLater(0, lambda: [os.kill(os.getpid(), one) for one in (signal.SIGTERM, signal.SIGINT)])
click.echo = heard
from ampproxy.cli import main
main()
"""


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("options", "when", "status"),
    [
        pytest.param((), "A line for each request", 0, id="while it waits for requests"),
        pytest.param(("--once",), "The configuration of", 1, id="before the table"),
    ],
)
def test_interrupted(options, when, status):
    """Asked to end, more than once, it does without a traceback; before the table is there, it has failed."""
    done = forked.run(
        [sys.executable, "-c", INTERRUPTED, "demo", "--port", "0", *options, when],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert when in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout.endswith("\nStopped.\n") is (not options)
    assert done.returncode == status


@pytest.mark.loopback
def test_a_taken_port():
    """A port that is taken is said in a sentence, and another one is used and shown."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        _, demo, printed = run_demo(BrokenService, port)
    assert f"Port {port} cannot be used (Address already in use)" in printed
    assert demo.clients["main"].url in demo.hints()
    assert str(port) not in demo.config_text


@pytest.mark.loopback
def test_tls():
    """A stand-in speaks TLS when it is given a context."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    bundle = certificate.private_key_and_cert_chain_pem.bytes()
    context = ssl.PrivateCertificate.loadPEM(bundle).options()
    stand_in = in_reactor(anthropic.start, reactor, keys=["k"], tls=context)
    trusting = plain.create_default_context()
    authority.configure_trust(trusting)
    connection = http.client.HTTPSConnection("127.0.0.1", stand_in.port, timeout=60, context=trusting)
    connection.request("GET", "/v1/models", headers={"x-api-key": "k", "anthropic-version": "2023-06-01"})
    assert connection.getresponse().status == 200
    connection.close()
    in_reactor(stand_in.stop)
    assert stand_in.url.startswith("https://")


def unknown(table, names):
    """Of these members those that a stand-in's table does not know."""
    found = set()
    for name in names:
        try:
            table({name: object()}, ())
        except Mismatch as problem:
            found |= {name} if problem.kind == "unknown" else set()
    return found


def test_tables_know_what_the_sdks_know():
    """Nearly every member that a vendor's SDK can send is known; the exceptions are named here."""
    from anthropic.types.message_create_params import MessageCreateParamsBase as Messages
    from google.genai import types
    from openai.types.chat.completion_create_params import CompletionCreateParamsBase as Chat
    from openai.types.responses.response_create_params import ResponseCreateParamsBase as Responses

    messages = unknown(MESSAGES, Messages.__annotations__)
    assert messages <= {"diagnostics", "user_profile_id", "workspace_id"}
    assert unknown(openai_chat_rules.TABLES["openai"], Chat.__annotations__) <= {"function_call", "functions"}
    responses = unknown(openai_responses_rules.REQUEST, Responses.__annotations__)
    assert responses <= {"access_programs", "background_options", "image", "moderation"}
    names = {field.alias or name for name, field in types.ThinkingConfig.model_fields.items()}
    thinking = unknown(gemini_rules.THINKING, names)
    assert thinking == set()
