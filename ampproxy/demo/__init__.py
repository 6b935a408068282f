"""The demonstration: a whole gateway against the strict vendors of :mod:`ampproxy.testing`."""
