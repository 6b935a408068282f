Alerts can report a certificate that expires soon (`certificate`) and a ledger that cannot be written (`ledger-away`).
