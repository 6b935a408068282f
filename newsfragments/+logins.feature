Logins at Anthropic, OpenAI and Google: `ampproxy login` and `ampproxy logout`, files in CLIProxyAPI's formats, renewal that several processes share.
