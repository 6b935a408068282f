"""Several processes that serve as one (``workers: N``).

::

    supervisor                     template                        worker 1 .. N
    reads the configuration,       has loaded all code,            serve: each has its own reactor,
    holds the sockets, writes      and waits; forks a              its own sockets, its own view of
    log, ledger and metrics,       worker when asked               the shared state
    answers what concerns all
        |----- a descriptor ---------->|------------ fork ------------->|
        |<------------------ channel (ampproxy.channel) --------------->|

The supervisor is the process that was started: it is the service for its manager and for all commands. A
worker is a service like that of a single process, without what only one may do: what it would log, count or
keep it sends to the supervisor, which does with it what it does with its own. Requests for the page, for
``/readyz`` and for the admin API are answered by the supervisor, whichever worker gets them
(:mod:`ampproxy.workers.visits`).

The *template* is a process that has loaded all code and runs no reactor. Workers are forked from it: they
start at once, share its memory as long as they do not write to it, and run the same code also where another
version has been installed meanwhile.

* A worker that ends, or does not answer, is replaced. Until its successor is there another one accepts on
  its sockets (:mod:`ampproxy.workers.seats`). What it had under way has been reported when it began, and
  ends in the log and in the ledger as failed.
* If the supervisor ends, each worker serves what is under way and who has connected, and ends; what the
  supervisor had not yet written to the ledger, it writes itself (:mod:`ampproxy.workers.orphan`).
* What a worker keeps for clients of Responses the others ask it for when they need it
  (:mod:`ampproxy.workers.searching`).
* A restart starts another supervisor, with its own template and workers, on the same sockets
  (:mod:`ampproxy.restart`).
"""
