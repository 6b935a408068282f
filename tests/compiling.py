"""Begins to compile, once it is imported: by the process that loads all of a run, before anything else."""

from __future__ import annotations

from tests import compiled

#: The process that compiles, to be waited for; 0 if there is none.
PROCESS = compiled.begin()
