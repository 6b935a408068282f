`ampcode.accept-amp-keys` lets clients in with the key that Amp's own login gave them, after Amp has said whose it is, and uses it upstream; `allowed-amp-users` names whose keys count.
