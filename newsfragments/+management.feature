Amp's own routes are forwarded to the Amp upstream with its key, streaming in both directions.
