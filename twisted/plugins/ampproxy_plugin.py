"""Tells ``twistd`` that the command ``ampproxy`` exists."""

from twisted.application.service import ServiceMaker

serviceMaker = ServiceMaker(
    "ampproxy",
    "ampproxy.start",
    "Runs the Amp coding agent on the model accounts you already have.",
    "ampproxy",
)
