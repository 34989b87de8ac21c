"""A run in segments: journal, executors, writers."""
