"""The path of a frame: windows, network, threads."""
