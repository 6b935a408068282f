`ampproxy doctor --problems` shows problems and warnings only.
