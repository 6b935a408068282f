"""Requests to vendors and to the Amp upstream: pools, deadlines, bodies. Alone imports treq."""
