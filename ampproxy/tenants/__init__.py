"""Clients with rights and limits of their own: what each may do, and what it has used."""
