"""Studies in SQL: what was measured, kept so that it can be continued, read again and exported."""
