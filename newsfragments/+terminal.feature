Every command fits the terminal: words are wrapped, tables leave out or shorten columns, and colours go by `NO_COLOR` and `FORCE_COLOR`.
What takes longer shows its progress on the standard error.
