"""What must be known of telegrams where bytes pass: nothing that is not so in most dialects."""

from __future__ import annotations

from ampproxy.dialects.base import Passthrough

PASSTHROUGH = Passthrough()
