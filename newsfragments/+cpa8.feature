CLIProxyAPI 8's layout of ``config.yaml`` is read, also mixed with the older one, and groups of keys below ``api-keys`` become accounts. Complaints name each key where it is written.
