"""Offline stand-ins of the vendors and of the Amp upstream, and the demonstration that uses them."""
