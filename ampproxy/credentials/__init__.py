"""Choosing among the accounts that could serve a request."""
