"""``python -m ampproxy``: the command ``ampproxy``."""

from ampproxy.cli import main

main(prog_name="ampproxy")
