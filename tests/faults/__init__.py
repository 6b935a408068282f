"""What goes wrong around a service: each is told once, clearly, and the service goes on."""
