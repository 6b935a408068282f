"""What Amp's clients and pages need."""
