Under systemd (`Type=notify`) the service tells when it is ready, reloads and stops, and feeds the watchdog from its event loop.
