A large body that only passes, such as an upload or a download through one of Amp's own routes, goes from socket to socket where neither side is under TLS: it costs a quarter of what it did.
