"""A restart that cuts nothing: another process takes over the listening sockets, this one ends what it has
begun.

The sockets are inherited. A second set of sockets on the same addresses (``SO_REUSEPORT``) would not do: each
has a queue of its own, and what waits in the queue of the one that is closed is cut off; a service that gave
up its privileges could not bind its port again; and neither Unix sockets nor those of systemd could be
shared.

The two processes talk over a pair of sockets, in lines of JSON::

    predecessor                                              successor

    starts it, with its own command line,
    environment and folder
                                                             reads the configuration, holds
                                                             the sockets, loads all it needs
                            <--- {"ready": pid}
    accepts no more
                            {"go": true, "generation": ...} --->
                                                             reads the configuration again if
                                                             the other one has
                                                             accepts; owns the pidfile; is the
                                                             service manager's main process
                            <--- {"took": pid}
    closes its sockets, serves what is
    under way, and leaves

At each moment one of them accepts, or what connects waits in the queue that both hold. Whatever fails before
``took`` leaves the predecessor in its place. If the predecessor dies, the successor takes over.
"""
