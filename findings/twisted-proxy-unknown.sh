#!/bin/sh
# Twisted 26.10's "haproxy:" endpoints refuse the shortest header line that the PROXY protocol has.
#
# The specification of PROXY protocol version 1 (https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt, section
# 2.1) lets a proxy that does not know its client send "PROXY UNKNOWN\r\n", and wants receivers to take the line as it
# is and to ignore what follows UNKNOWN, if anything does.
#
# Wrong guess: that a receiver which takes "PROXY UNKNOWN <address> <address> <port> <port>\r\n" takes it without the
# addresses, too. Twisted wants all of them, and closes the connection without a word.
#
# Output seen (Python 3.11, Twisted 26.10.0):
#     with addresses: b'hello'
#     without addresses: b''
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "twisted==26.10.0"
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import socket
import threading

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol


class Echo(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)


def ask(port, line):
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(line + b"hello")
        try:
            return client.recv(100)
        except ConnectionResetError:
            return b""


def ask_both(port):
    print("with addresses:", ask(port, b"PROXY UNKNOWN ::1 ::1 1234 80\r\n"))
    print("without addresses:", ask(port, b"PROXY UNKNOWN\r\n"))
    reactor.callFromThread(reactor.stop)


def listening(port):
    threading.Thread(target=ask_both, args=(port.getHost().port,)).start()


serverFromString(reactor, "haproxy:tcp:0:interface=127.0.0.1").listen(Factory.forProtocol(Echo)).addCallback(listening)
reactor.run()
PYTHON
grep -q "^with addresses: b'hello'$" "$folder/seen"
grep -q "^without addresses: b''$" "$folder/seen"
