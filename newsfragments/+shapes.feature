A server that answers a request for a stream with one JSON text, or the other way round, is served all the same: its answer comes to the client in the shape that it asked for.
