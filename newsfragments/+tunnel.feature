WebSockets on Amp's own paths are tunnelled to the Amp upstream, subprotocols and extensions untouched, with back-pressure; `/actors` is one of these paths; `timeouts.tunnel-idle` ends silent ones.
