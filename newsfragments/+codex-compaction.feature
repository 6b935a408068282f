A long conversation of Codex goes on after its compaction on accounts of any vendor: the model that serves writes the summary.
