"""Makes the directory above importable, so that ``tests.reactor`` is found from every test."""
