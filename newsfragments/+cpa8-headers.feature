A value in an account's ``headers`` that begins with ``$`` takes the client's header of that name, as in CLIProxyAPI; the client's keys and cookies cannot be taken.
