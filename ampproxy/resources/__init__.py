"""The web side: resource tree, guard, provider routes, management routes."""
