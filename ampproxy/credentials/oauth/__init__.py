"""Logins: credential files, the flows that make them, and their renewal.

=============  =====================================================================================
``steps``      what a flow asks of the world: requests, questions, pauses. A flow is a generator of them
``protocol``   OAuth's own messages, by oauthlib
``claude``     the flows of each vendor: the first login, the renewal, what else it takes
``codex``
``gemini``
``formats``    the files: CLIProxyAPI's own format, read and written; those of the vendors' command lines
``store``      the folder: atomic, locked across processes, never a lost or broken file
``refresh``    when a token is due, and its renewal as a flow
``watch``      what has changed in the folder
``credential`` a login as the providers see it: the token of this moment
``accounts``   logins as accounts of the configuration
``http``       runs a flow over Twisted
``service``    all of it together, for the running gateway
=============  =====================================================================================

``vendors`` has a row for each vendor, ``failures`` what can go wrong. Everything but ``http`` and
``service`` is without Twisted; everything but those, ``store`` and ``watch`` without I/O.
"""
