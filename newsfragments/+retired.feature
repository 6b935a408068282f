A request for a model that its vendor has taken away is answered with 404 in the client's dialect, with the day, the successor, and the
mapping line that mends it; the account keeps serving its other models and has no cooldown.
