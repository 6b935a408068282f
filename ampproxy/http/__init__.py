"""HTTP/1.1 over Twisted's transports: connections to upstreams and from clients, parsed by llhttp."""
