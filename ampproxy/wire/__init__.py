"""Bytes to values and back, without I/O: server-sent events, JSON members, headers, secrets."""
