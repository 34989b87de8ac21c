"""Numbered PNG and TIFF pictures, and folders of them."""
