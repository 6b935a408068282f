"""Python programs that start at once: forked from a process that has loaded the package already.

A test that needs the service, or a command, as a process of its own needs a new process, but seldom a new
interpreter: to load everything takes several times as long as what most of these processes do. :func:`popen`
and :func:`run` are the functions of :mod:`subprocess` for ``python -c CODE ARGUMENTS``. The process has its
own environment, folder, descriptors and end, and nothing of the reactor, which is made after the fork.

What a process loads, or what must run before it loads anything, is not to be tested so, nor what others see
of its start in ``/proc``, its command and its environment: these take :mod:`subprocess` itself. With
``AMPPROXY_LONG=1``, and on systems without ``pidfd_open``, everything does.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

TREE = Path(__file__).parents[1]
#: Whether programs are forked here.
POSSIBLE = hasattr(os, "pidfd_open") and not os.environ.get("AMPPROXY_LONG")

#: More than any request has: a command and an environment.
_MAX_REQUEST = 4 << 20
#: In place of a request's size: somebody else who asks, over the socket that comes with it.
_ANOTHER = bytes(4)
#: Beside what the service's own workers load: modules of most programs, which make no reactor.
LOADED = (
    "twisted.scripts.twistd",
    "twisted.cred.strcred",
    "twisted.internet.epollreactor",
    "ampproxy.tap",
    "ampproxy.cli",
    "ampproxy.metrics.registry",
)
_BEGIN = "from tests.forked import serve; exec(compile(serve({}, {}), '<string>', 'exec'))"


# ------------------------------------------------------------------------- in the process of the tests


class Program:
    """A process that was forked, as :class:`subprocess.Popen` presents one.

    :ivar pid: its number.
    :ivar returncode: as of ``Popen``; ``None`` as long as it is not known to have ended.
    :ivar stdin: and ``stdout`` and ``stderr``: of those that are pipes, our ends.
    """

    def __init__(self, pid: int, status: int, pipes: Mapping[str, IO[Any]]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin, self.stdout, self.stderr = (pipes.get(name) for name in ("stdin", "stdout", "stderr"))
        self._status = status
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit status, if it has ended."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended.

        :raises subprocess.TimeoutExpired: it did not within ``timeout`` seconds.
        """
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return status

    def _ended(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
                told = os.read(self._status, 64)
                os.close(self._status)
                if not told:
                    raise RuntimeError("the process that forks has ended")
                self.returncode = int(told)
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        self.wait()


class _Server:
    """The process that forks, as its client knows it.

    :param control: where it is asked.
    """

    def __init__(self, control: socket.socket) -> None:
        self._lock = threading.Lock()
        self._control = control

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """Have a process forked.

        :param descriptors: its standard ones, and where its end is reported.
        """
        data = json.dumps(request).encode()
        with self._lock:
            socket.send_fds(self._control, [len(data).to_bytes(4, "big")], descriptors)
            self._control.sendall(data)
            reply = self._control.recv(64)
        if not reply:
            raise RuntimeError("the process that forks has ended")
        return int(reply)


def _started(loaded: Sequence[str]) -> _Server:
    """A process that forks, and that ends with ours."""
    control, its_own = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-c", _BEGIN.format(its_own.fileno(), list(loaded))],
        cwd=TREE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[its_own.fileno()],
    )
    its_own.close()

    def stop() -> None:
        control.close()
        process.wait()

    atexit.register(stop)
    return _Server(control)


#: By what they have loaded.
_servers: dict[tuple[str, ...], _Server] = {}
_making = threading.Lock()


def _server(loaded: tuple[str, ...]) -> _Server:
    with _making:
        if loaded not in _servers:
            _servers[loaded] = _started(loaded)
        return _servers[loaded]


def popen(
    command: Sequence[str],
    *,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    text: bool = False,
    loaded: tuple[str, ...] = LOADED,
) -> Any:
    """As :class:`subprocess.Popen`: forked, where that is possible and our interpreter runs the command.

    :param loaded: modules that the process has loaded beside those of the service's workers.
    """
    if not POSSIBLE or list(command[:2]) != [sys.executable, "-c"]:
        return subprocess.Popen(
            command, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, text=text
        )
    pipes: dict[str, IO[Any]] = {}
    with contextlib.ExitStack() as stack:
        output = _descriptor(stack, pipes, "stdout", stdout, text)
        standard = [
            _descriptor(stack, pipes, "stdin", stdin, text),
            output,
            output if stderr == subprocess.STDOUT else _descriptor(stack, pipes, "stderr", stderr, text),
        ]
        status, report = os.pipe()
        stack.callback(os.close, report)
        request = {
            "command": list(command),
            "cwd": str(cwd or Path.cwd()),
            "environ": dict(os.environ if env is None else env),
            "umask": _umask(),
        }
        pid = _server(loaded).fork(request, [*standard, report])
    return Program(pid, status, pipes)


def _descriptor(
    stack: contextlib.ExitStack, pipes: dict[str, IO[Any]], name: str, wanted: Any, text: bool
) -> int:
    """The descriptor that a process is to have for ``wanted``, as of Popen."""
    number = ("stdin", "stdout", "stderr").index(name)
    if wanted is None:
        return number
    if wanted == subprocess.DEVNULL:
        opened = os.open(os.devnull, os.O_RDWR)
    elif wanted == subprocess.PIPE:
        theirs, ours = os.pipe() if name == "stdin" else os.pipe()[::-1]
        mode = ("w" if name == "stdin" else "r") + ("" if text else "b")
        pipes[name] = open(ours, mode)  # noqa: SIM115
        opened = theirs
    else:
        return wanted if isinstance(wanted, int) else int(wanted.fileno())
    stack.callback(os.close, opened)
    return opened


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def run(
    command: Sequence[str],
    *,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    capture_output: bool = False,
    text: bool = False,
    check: bool = False,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[Any]:
    """As :func:`subprocess.run`: forked, where that is possible and our interpreter runs the command."""
    mode = "w+" if text else "w+b"
    with contextlib.ExitStack() as stack:
        given = stack.enter_context(tempfile.TemporaryFile("w+"))
        given.write(input or "")
        given.seek(0)
        files = [stack.enter_context(tempfile.TemporaryFile(mode)) for _ in range(2 * capture_output)]
        stdout, stderr = files or (None, None)
        stdin = None if input is None else given
        process = popen(command, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, text=text)
        try:
            status = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        for file in files:
            file.seek(0)
        told = [file.read() for file in files] or [None, None]
    done = subprocess.CompletedProcess(list(command), status, *told)
    if check:
        done.check_returncode()
    return done


# ------------------------------------------------------------------------- in the process that forks


def serve(descriptor: int, loaded: Iterable[str]) -> str:
    """Fork for whoever asks over a socket, until it ends; gives, in each forked process, the code to run.

    Where more is loaded than :data:`LOADED`, processes are forked that fork programs in their turn: tests.
    For all of them there is one process that has loaded this and no more.
    """
    from ampproxy.workers.template import load

    # A shell has what it runs in the background ignore it, and tests interrupt programs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    control, for_programs = socket.socket(fileno=descriptor), None
    # What is loaded stays: the garbage collector would only look at it again and again.
    gc.disable()
    load()
    _load(LOADED)
    if more := [name for name in loaded if name not in LOADED]:
        for_programs, its_own = socket.socketpair()
        if os.fork() == 0:
            for_programs.close()
            control.close()
            control, for_programs = its_own, None
        else:
            its_own.close()
            _load(more)
    gc.freeze()
    gc.enable()
    return _Forking(control, for_programs).run()


def _load(names: Iterable[str]) -> None:
    for name in names:
        importlib.import_module(name)


class _Forking:
    """What it has forked, by the descriptors that know when they end, with where that is reported.

    :param control: where it is asked; it ends when who asks there has ended.
    :param for_programs: where what it forks can have programs forked, if not by this process.
    """

    def __init__(self, control: socket.socket, for_programs: socket.socket | None) -> None:
        self._control = control
        self._for_programs = for_programs
        #: Whoever asks, by descriptor.
        self._clients = {control.fileno(): control}
        self._running: dict[int, tuple[int, int]] = {}

    def run(self) -> str:
        while True:
            ready, _, _ = select.select([*self._clients, *self._running], [], [])
            for one in ready:
                if one not in self._clients:
                    self._reap(one)
                elif code := self._asked(self._clients[one]):
                    return code

    def _reap(self, descriptor: int) -> None:
        pid, report = self._running.pop(descriptor)
        os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        # Whoever asked may no longer be there.
        with contextlib.suppress(OSError):
            os.write(report, b"%d" % status)
        os.close(report)

    def _asked(self, client: socket.socket) -> str:
        """Take a request; gives, in the process that was forked for it, what it runs."""
        size, descriptors, _, _ = socket.recv_fds(client, 4, 4)
        if not size:
            if client is self._control:
                os._exit(0)
            del self._clients[client.fileno()]
            client.close()
            return ""
        if size == _ANOTHER:
            self._clients[descriptors[0]] = socket.socket(fileno=descriptors[0])
            return ""
        data = b""
        while len(data) < int.from_bytes(size, "big"):
            data += client.recv(_MAX_REQUEST)
        asks = self._asks()
        pid = os.fork()
        if pid == 0:
            for one in (*self._clients.values(), *filter(None, [self._for_programs])):
                one.detach()
            if asks is not None:
                _servers[LOADED] = _Server(asks)
            return _become(json.loads(data), descriptors, asks)
        if asks is not None:
            asks.close()
        *standard, report = descriptors
        for one in standard:
            os.close(one)
        self._running[os.pidfd_open(pid)] = pid, report
        client.sendall(b"%d" % pid)
        return ""

    def _asks(self) -> socket.socket | None:
        """Where a new process can have programs forked."""
        if self._for_programs is None:
            return None
        asks, asked = socket.socketpair()
        socket.send_fds(self._for_programs, [_ANOTHER], [asked.fileno()])
        asked.close()
        return asks


def _become(request: Mapping[str, Any], descriptors: Sequence[int], kept: socket.socket | None) -> str:
    """Make this process what was asked for; gives the code that it runs.

    :param kept: beside the standard descriptors.
    """
    for number, one in enumerate(descriptors[:3]):
        os.dup2(one, number)
    for one in _open_descriptors():
        if kept is None or one != kept.fileno():
            with contextlib.suppress(OSError):
                os.close(one)
    os.umask(request["umask"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    command = request["command"]
    sys.orig_argv = list(command)
    sys.argv = ["-c", *command[3:]]
    return str(command[2])


def _open_descriptors() -> Iterable[int]:
    """All but the standard ones."""
    return [number for number in map(int, os.listdir("/proc/self/fd")) if number > 2]
