"""What may be spent of Amp's credits, counted."""
