"""The HTTP server: connections and requests of clients, their limits, and who may come in."""
