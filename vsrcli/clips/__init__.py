"""Training clips: packs, degradations, low-resolution versions."""
