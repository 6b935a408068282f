"""The shared vocabulary: what a chat request, its answer and a stream of it mean in every dialect.

Frozen values only; nothing here knows a wire format. Each dialect converts to and from these, so
that N dialects are N modules and not N x N pairs.
"""
