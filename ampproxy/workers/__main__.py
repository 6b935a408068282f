"""``python -m ampproxy.workers DESCRIPTOR``: the template, as the supervisor starts it."""

from __future__ import annotations

import sys

from ampproxy.workers.template import main

if __name__ == "__main__":
    main(int(sys.argv[1]))
