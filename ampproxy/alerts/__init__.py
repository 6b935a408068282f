"""Alerts without Prometheus: what is wrong and lasts is posted to a webhook, or given to a command.

:mod:`~ampproxy.alerts.conditions` decides what is active, :mod:`~ampproxy.alerts.states` what of it is news,
:mod:`~ampproxy.alerts.delivery` sends it, and :mod:`~ampproxy.alerts.service` does so every now and then.
"""
