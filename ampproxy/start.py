"""What ``twistd`` loads: :mod:`ampproxy.tap`, without garbage collections while it is read.

Loading makes many objects, and all of them stay: looking through them again and again is a fifth of the
time until the service listens, and no later collection needs to, either.
"""

from __future__ import annotations

import gc

_collected = gc.isenabled()
gc.disable()
try:
    from ampproxy.tap import Options, makeService
finally:
    gc.freeze()
    if _collected:
        gc.enable()

__all__ = ["Options", "makeService"]
