"""How fast the gateway is, measured side by side with a bare proxy: ``python -m benchmarks``."""
