"""The page of the gateway's owner, and the admin API behind it: what the service does, in a browser.

``api`` has the table of routes, from which ``openapi`` makes their document; ``views`` renders the same
values as HTML, without any script; ``static`` has what makes the page live. Nothing here is on a request's
way: exchanges that have ended are remembered by ``feed``, a bounded number of them, and all else is looked
up when asked for.
"""
