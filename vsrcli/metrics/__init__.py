"""Quality metrics, of single pictures and of whole sequences."""
