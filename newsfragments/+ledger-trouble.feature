`ampproxy status`, `ampproxy doctor` and `/readyz` tell while the ledger cannot be written, and why.
