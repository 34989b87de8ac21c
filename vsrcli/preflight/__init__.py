"""What is decided before the work."""
