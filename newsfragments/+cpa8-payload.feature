CLIProxyAPI's ``payload`` rules (``default``, ``override``, their raw forms, ``filter``) change what vendors are sent, in the vendor's own dialect.
