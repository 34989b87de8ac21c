"""Sound, subtitles, attachments and tags: planned, converted, copied."""
