"""What is known of models and of the kinds of accounts, as data: dated, with its sources.

:mod:`~ampproxy.catalog.families` answers what a model takes and can do, by its name; the data is
``families.yaml``. :mod:`~ampproxy.catalog.kinds` has a row for each kind of account. Pure, and below
everything that asks.
"""
