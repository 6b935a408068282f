"""The ``ampproxy`` command: one module per verb."""
