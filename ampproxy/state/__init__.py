"""What several processes know together: the contract between those who share and what carries it.

Every process keeps its own view in memory, and decides by that alone, so the request path stays synchronous
and as cheap as it is. What a view learns it *publishes*; what others publish is *applied* to it within
moments.

* An **entry** (:class:`~ampproxy.state.entries.Entry`) is a kind, a key, a value and how long it is worth
  something. Without a value it is a *tombstone*: the entry has ended, and that must be known for as long.
  Kinds are rows of :data:`~ampproxy.state.entries.KINDS`, with the most entries of each.
* A **topic** (:class:`~ampproxy.state.shared.Topic`) is what a kind's entries mean to a part of the
  service: it applies those of others, and gives its own when all must be exchanged. Values are bytes that
  only the topic reads; what it cannot read, because another version wrote it, it passes over.
* :class:`~ampproxy.state.shared.Shared` is what the service sees: ``publish``, ``claim``, ``lock``,
  ``unlock``, ``subscribe``, ``active`` and ``report``. :class:`~ampproxy.state.shared.Alone` shares
  nothing.
* :class:`~ampproxy.state.view.View` is the other one: the bookkeeping of a process that shares, whatever
  carries its entries. It needs a :class:`~ampproxy.state.view.Link` to a hub.
* A **hub** keeps the entries, puts them in one order and sends each to all views, the sender's included.
  :class:`~ampproxy.state.hub.Hub` is one in memory, without I/O; scripts in Redis are another.

What holds, whatever the link:

1. *One order.* Views apply entries in the hub's order. As long as one that a view has published is on its
   way, it passes over what arrives for that key: in the hub's order that is older. So all views end up with
   the same. For that every entry that was published is sent to all, and comes back to its view with the
   number that it gave it.
2. *The younger wins* when views and hub exchange what they know after a connection was made: by ages, which
   are durations, never times of day, so clocks that differ do no harm. An entry with the value that the hub
   has already only prolongs it and is sent to no one.
3. *A claim has one winner.* ``claim`` gives the value of the entry that is there, or one's own, which is
   the entry from then on and is sent to all. It never fails unless it is cancelled: where no one answers
   within the time limit, or there is no connection, it gives one's own value at once.
4. *A lock* is held until ``unlock`` or until its time is over. Each holder gets a higher number than all
   before it. ``lock`` gives ``None`` as long as another holds it and fails with
   :class:`~ampproxy.state.shared.Away` where there is no connection.
5. *Nothing waits for a link that is away.* What is published meanwhile is kept, the latest of each key, up
   to a bound, and goes out with its age when the link is there again.

To write a link: on connection, deliver what the hub has by :meth:`View.known`, entries that arrive from
then on by :meth:`View.arrived`, and call :meth:`View.opened` once everything of the first has been
delivered; when the connection is lost, :meth:`View.closed`. All in the reactor's thread.
"""
