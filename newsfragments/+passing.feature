A large body that only passes, such as an upload through one of Amp's own routes, goes from socket to socket where neither side is under TLS: it costs a third of what it did.
