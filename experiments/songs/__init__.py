"""What `separate` writes of a song."""
