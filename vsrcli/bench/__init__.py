"""Benchmarks: networks, and results of any tool, scored against ground truth."""
