"""Pictures as arrays: sizes, colours, motion, tiles, scene cuts. Needs no FFmpeg."""
