`ampproxy doctor` and `ampproxy check` warn, from ninety days before, of each model that is mapped to, named or asked for and that its
vendor takes away, with the line of configuration that mends it. A mapping of a model that is gone acts at once.
