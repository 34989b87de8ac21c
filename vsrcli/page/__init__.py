"""Self-contained HTML pages: facts, tables, and pictures to compare with a slider."""
