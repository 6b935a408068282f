"""Nobody waits for whoever reads the log: a terminal that was stopped by Ctrl-S, a pipe whose reader hangs, a
disk or a syslog that does not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread

from ampproxy.config.schema import Logging
from ampproxy.logs.observer import Output

#: Seconds for which the end of the process waits for what is not written yet.
FLUSH_TIMEOUT = 2.0


class QueuedOutput:
    """Has a thread write to another output, in order. An :class:`~ampproxy.logs.observer.Output`.

    What waits has a bound (``logging.buffer``, in characters); lines beyond it are lost and counted, and that
    is told as soon as there is room again. Before :meth:`start` lines are written at once: ``twistd`` may yet
    fork, and threads do not survive that.

    :param output: is used by the thread alone, once that has started.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._most = Logging().buffer
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._started = self._ending = self._stuck = False
        # What was put into the queue, which only the writers count, who come one at a time, and what has left
        # it, which only the thread counts: no lock is needed.
        self._came = self._gone = 0
        self._lost = 0

    def start(self) -> None:
        """Write in a thread from now on."""
        if not self._started:
            self._started = True
            # A daemon: a write that never ends must not keep the process.
            Thread(target=self._run, name="ampproxy-log", daemon=True).start()

    def write(self, line: str, level: str) -> None:
        if not self._started:
            self._output.write(line, level)
            return
        waiting = self._came - self._gone
        if waiting and waiting + len(line) > self._most:
            self._lost += line.count("\n")
            return
        self._log_lost()
        self._put(line, level)
        if self._ending:
            self.settle()

    def use(self, logging: Logging) -> None:
        self._most = logging.buffer
        self._in_turn(lambda: self._output.use(logging))

    def reopen(self) -> None:
        """See :meth:`ampproxy.logs.observer.Output.reopen`; what came before goes to the old file."""
        self._in_turn(self._output.reopen)

    def settle(self) -> None:
        """Wait until all is written, for :data:`FLUSH_TIMEOUT` at most: the process ends. From now on each
        line is waited for so; once one was waited for in vain, no other is.
        """
        self._ending = True
        if not self._started or self._stuck:
            return
        self._log_lost()
        done = Event()
        self._queue.put(done.set)
        self._stuck = not done.wait(FLUSH_TIMEOUT)

    def _in_turn(self, what: Callable[[], None]) -> None:
        if self._started:
            self._queue.put(what)
        else:
            what()

    def _put(self, line: str, level: str) -> None:
        self._came += len(line)

        def written() -> None:
            self._output.write(line, level)
            self._gone += len(line)

        self._queue.put(written)

    def _log_lost(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            self._put(f"{lost} lines of the log could not be written before this one\n", "warn")

    def _run(self) -> None:
        while True:
            # Outputs do not raise; a defect of one must not end the log.
            with suppress(Exception):
                self._queue.get()()
