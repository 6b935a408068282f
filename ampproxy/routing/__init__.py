"""Which account serves a request: pure decisions over the configuration."""
