"""Source videos: what is in a file, and its frames."""
