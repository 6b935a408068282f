Routes of Amp's that are new are forwarded as before, told once in the log and remembered: `GET /ampproxy/unknown`.
