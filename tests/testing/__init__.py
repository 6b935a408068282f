"""The stand-ins are strict: these tests hold them to it."""
