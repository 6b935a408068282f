"""Metrics for Prometheus: how much goes where, how fast, and how the service is.

:mod:`ampproxy.metrics.service` is loaded always; the others, and the library that they know, when metrics are
shown at all.
"""
