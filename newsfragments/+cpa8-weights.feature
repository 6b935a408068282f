``routing.strategy: weighted-round-robin`` with ``weight`` on keys and logins works as in CLIProxyAPI; ``expiring-first`` counts as ``round-robin``, with a warning.
