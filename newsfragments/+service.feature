`twistd ampproxy`: the gateway as a Twisted service, configured by CLIProxyAPI's `config.yaml`, with `ampproxy check`, `explain` and `models` beside it.
