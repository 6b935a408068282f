"""Amp's clients on this machine: where they keep what, which are there, and how they are set up."""
