"""What goes straight to the agent, and what is treq's."""

from __future__ import annotations

from typing import Any

import pytest
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, succeed
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import Request

from ampproxy.http.headers import LowerHeaders
from ampproxy.upstream.body import BytesProducer
from ampproxy.upstream.ways import PreparedURL, StraightClient

PLAIN = {"unbuffered": True, "allow_redirects": False}


class Agent:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def request(self, *asked: Any) -> Deferred[Any]:
        self.asked.append(asked)
        return succeed("the answer")


def test_plain() -> None:
    """The agent gets it as it is, and gzip is asked for once, however often it is sent."""
    agent = Agent()
    client = StraightClient(agent)  # type: ignore[arg-type]
    headers = LowerHeaders({b"a": [b"b"], b"accept-encoding": [b"br"]})
    body = BytesProducer(b"x")
    for _ in range(2):
        got: list[Any] = []
        url = PreparedURL("http://a.test/%2F?b")
        client.request("POST", url, headers=headers, data=body, **PLAIN).addCallback(got.append)
        assert got == ["the answer"]
        method, uri, sent, data = agent.asked.pop()
        assert (method, uri, data) == (b"POST", b"http://a.test/%2F?b", body)
        assert sent.getRawHeaders(b"accept-encoding") == [b"gzip"]


class Echo(Resource):
    """Answers with what it was asked."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        if request.path == b"/away":
            request.redirect(b"http://a.test/there")
            return b""
        request.setHeader(b"set-cookie", b"a=b")
        return b" ".join((request.method, request.uri, request.content.read()))


@pytest.mark.parametrize(
    ("url", "more", "said"),
    [
        ("http://a.test/here", {"params": {"a": "b"}}, b"GET /here?a=b "),
        ("http://a.test/away", {}, b"GET /there "),
        ("http://a.test/here", {"data": BytesProducer(b"text"), "headers": {"a": "b"}}, b"GET /here text"),
    ],
)
def test_the_rest_is_treqs(url: str, more: Any, said: bytes) -> None:
    """With treq's own way of testing: parameters, headers in a dict, redirects, and the answer's methods."""
    agent = RequestTraversalAgent(Echo())
    client = StraightClient(agent)
    got: list[Any] = []
    client.request("GET", url, **more).addCallback(lambda answer: answer.content()).addBoth(got.append)
    agent.flush()
    assert got == [said]


def test_plain_with_treqs_testing_agent() -> None:
    """An agent of treq's for tests can stand in the place of ours."""
    agent = RequestTraversalAgent(Echo())
    got: list[Any] = []
    url = PreparedURL("http://a.test/here")
    StraightClient(agent).request("GET", url, headers=Headers(), **PLAIN).addBoth(got.append)
    agent.flush()
    assert got[0].code == 200
