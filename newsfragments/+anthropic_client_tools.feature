Anthropic's tools that the client runs (`bash`, text editor, `memory`) are offered to other vendors' models as functions.
