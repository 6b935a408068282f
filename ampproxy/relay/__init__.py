"""One exchange between a client and an upstream: whole answers, streams, failover."""
