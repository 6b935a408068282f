`oauth-model-alias` and `oauth-excluded-models` name and exclude models of logins, as CLIProxyAPI's files have them.
