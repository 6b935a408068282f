Request bodies that are compressed by zstd, as Codex's, are understood on every supported Python.
