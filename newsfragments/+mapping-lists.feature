`ampproxy doctor` warns of mappings whose target is in no list of the vendor that is asked for it: a misspelt name, or an alias of another gateway.
