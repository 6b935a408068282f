"""Amp's model routing beside the gateway: the account at Amp, and the gateway's public address."""
