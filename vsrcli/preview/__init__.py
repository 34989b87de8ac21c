"""Some frames of a video, upscaled before a long run, on a page."""
