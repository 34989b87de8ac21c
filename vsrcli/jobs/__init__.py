"""One module for each thing that vsr does: upscale, extract, assemble, export."""
