"""``ampproxy doctor``: everything between a client and a model, looked at and judged."""
