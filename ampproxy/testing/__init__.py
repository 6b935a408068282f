"""Strict stand-ins of the vendors and of the Amp upstream: for our tests, the demonstration, and yours.

Each of the modules ``anthropic``, ``openai_chat``, ``openai_responses``, ``gemini`` and ``amp`` has::

    stand_in = await start(reactor, keys=["a-key"], forbidden=["a-secret-that-must-not-arrive"], tls=None)
    stand_in.url, stand_in.port          # http://127.0.0.1:PORT
    stand_in.script(Script(status=429, retry_after=3), Script(text="Hello"), key="a-key")
    stand_in.requests[-1].closed_by_client
    stand_in.leaks                       # in words; empty if nothing leaked
    await stand_in.until(lambda: stand_in.requests, timeout=5)
    await stand_in.stop()

They are strict: what the vendor would refuse is refused, with its status and its words. How to ask for an
answer or a failure: :mod:`~ampproxy.testing.script`.
"""
