"""An output held against its source."""
