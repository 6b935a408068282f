What Amp uses a model for (its role: `smart`, `oracle`, `finder`, `title` and so on) is inferred from the request, shown in the log and by
`ampproxy explain`, and a model mapping may name it: `role:` instead of `from:`, or beside it.
