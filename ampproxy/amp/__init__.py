"""What Amp's clients need beside their models: roles, paths, pages, cookies, and what is known of them."""
