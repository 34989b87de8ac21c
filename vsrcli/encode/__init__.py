"""Output videos: encoders, encoded segments and the file that is written."""
