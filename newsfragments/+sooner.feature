The service answers a fifth sooner after its start: expressions, vendors, and what twisted.web has beside HTTP are loaded when something needs them.
