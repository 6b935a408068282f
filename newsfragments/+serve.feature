`ampproxy serve` runs the service without `twistd`, with `--background` as a process of its own; `ampproxy status` and `ampproxy stop` show and end it.
A port that is taken is one sentence, and nothing is left in the working folder.
