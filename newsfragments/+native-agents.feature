The mock vendors take what an unmodified Claude Code and Codex send, betas, deferred tools and tools of namespaces included: `ampproxy demo` can be tried with both.
