`make run` (`ampproxy demo`) shows everything at work with stand-ins on this machine.
