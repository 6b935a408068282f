"""OpenAI Chat Completions, for clients and for accounts: OpenAI's own and the many servers that follow it."""
