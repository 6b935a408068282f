"""An application beside the gateway: Amp's clients on this machine set up, and everything checked.

No request passes here.
"""
