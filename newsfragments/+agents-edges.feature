Coding agents are at home at once: a WebSocket to `/v1/responses` is answered with 426, so that Codex goes on without it instead of trying for six seconds; `HEAD /` and
`HEAD /api/hello` of Claude Code and Codex's question for its quota are answered here.
