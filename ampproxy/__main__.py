"""``python -m ampproxy``: the command ``ampproxy``."""

from ampproxy.cli import main

if __name__ == "__main__":
    main(prog_name="ampproxy")
