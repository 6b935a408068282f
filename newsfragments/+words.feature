Names of losses, log lines, commands' texts and errors use the field's words: a loss "cannot be expressed", a result is "sent as text", "The file was rejected" by `ampproxy reload`.
