"""A hub in Redis: scripts that keep the entries, and two threads that carry them.

Loaded only where the configuration names a Redis. It needs Redis 6.2 or later, or a server that does as that
does, and is no cluster. Of the commands it uses: ``EVALSHA``, ``SCRIPT LOAD``, ``SUBSCRIBE``, ``PUBLISH``,
``HSCAN``, ``TIME``, ``PING``, and within scripts those of hashes, sorted sets and strings.
"""
