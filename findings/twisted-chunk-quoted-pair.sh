#!/bin/sh
# Twisted 26.10's HTTP client and server refuse a chunk extension whose quoted value has a backslash.
#
# RFC 9112 (section 7.1.1) lets a chunk size be followed by extensions, whose values may be quoted strings; RFC 9110
# (section 5.6.4) lets a quoted string hold any character behind a backslash. A recipient must ignore extensions that
# it does not know.
#
# Wrong guess: that what is to be ignored may be anything that the grammar allows. Twisted checks the characters of
# extensions against a list that has no backslash, and answers 400 (or gives up the answer, as a client).
#
# Output seen (Python 3.11, Twisted 26.10.0):
#     plain: HTTP/1.1 200 OK
#     quoted: HTTP/1.1 200 OK
#     quoted pair: HTTP/1.1 400 Bad Request
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "twisted==26.10.0"
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import socket
import threading

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

EXTENSIONS = {"plain": b"", "quoted": b';a="b"', "quoted pair": rb';a="\b"'}


class Page(Resource):
    isLeaf = True

    def render_POST(self, request):
        return b"fine"


def ask(port, extension):
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head + b"2" + extension + b"\r\nhi\r\n0\r\n\r\n")
        return client.recv(1000).partition(b"\r\n")[0].decode()


def ask_all(port):
    for name, extension in EXTENSIONS.items():
        print(f"{name}: {ask(port, extension)}")
    reactor.callFromThread(reactor.stop)


port = reactor.listenTCP(0, Site(Page()), interface="127.0.0.1")
threading.Thread(target=ask_all, args=(port.getHost().port,)).start()
reactor.run()
PYTHON
grep -q "^quoted: HTTP/1.1 200 OK$" "$folder/seen"
grep -q "^quoted pair: HTTP/1.1 400 Bad Request$" "$folder/seen"
