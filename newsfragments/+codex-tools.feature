Codex and other clients of Responses keep all their tools on accounts of any vendor: those of MCP servers (`namespace`), those that come late
(`additional_tools`, `tool_search`), shells and patches; the client gets its own kinds of calls back. Grammars are told to models that are not held to them.
