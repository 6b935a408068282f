"""The repair of a request until a vendor takes it: pure passes over a request in the shared vocabulary.

Each pass is ``(request, target, losses) -> request``. It gives the same object where nothing changes, and
notes each bend among the losses. What a model takes, and what a server takes, is data
(:class:`~ampproxy.adapt.target.Target`).
"""
