"""What a run will take, before it begins, by a short timing on this machine."""
