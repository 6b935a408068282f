Client keys at CLIProxyAPI's oldest place, `auth.providers`, are read, with a warning.
