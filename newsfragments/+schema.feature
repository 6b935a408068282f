`ampproxy schema` prints the JSON Schema of the configuration file, by which editors complete and explain each setting and mark what is wrong; the sample names it.
