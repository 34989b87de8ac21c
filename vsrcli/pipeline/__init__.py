"""The way of a frame: windows, network, threads."""
