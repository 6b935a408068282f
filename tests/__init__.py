"""The tests, which mirror the package."""

import os
import sys

# Kept even where the environment asks for none: each run, and each of the some hundred processes that tests
# start, would compile all of ampproxy anew, and pytest what it rewrites, which takes longer than what most of
# them are there for. Here, because this is loaded before anything else of the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
