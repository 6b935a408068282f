All request bodies and whole answers together have a bound, `limits.max-held` (512 MiB); beyond it a request is answered with 503 and `Retry-After`. `ampproxy_held_bytes` shows how much it is.
