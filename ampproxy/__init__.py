"""A gateway that runs the Amp coding agent on the model accounts its user already has."""

__version__ = "0.1.0"
