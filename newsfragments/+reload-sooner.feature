A changed configuration takes effect within a second of its last write, not within two: a revoked or narrowed key ends its running requests that soon.
