"""What a log file may ask of the machine that reads it.

A reader counts while it reads, so a file that lies about its size, or a pipe that never ends, meets the same limits.
"""

MOST_BYTES = 2 << 30
"""Bytes of a file."""

MOST_CHARACTERS = 1 << 20
"""Characters of a line, or of one value inside a JSON file."""

MOST_COLUMNS = 10_000
"""Columns, keys or tags of a file."""

MOST_NUMBERS = 10_000_000
"""Rows of a file, and numbers kept of it: those of the columns that could be of use. Each takes 16 bytes."""

MOST_RUNS = 1_000
"""Runs in one file or folder."""

DEEPEST = 32
"""Brackets of a JSON file that are open at once."""

MOST_BYTES_OF_RECORD = 1 << 16
"""Bytes of a record of an event file; a longer one is a picture or a graph, and is passed over."""

MOST_FILES = 1_000
"""Event files of a folder."""

MOST_ENTRIES = 100_000
"""Files and folders that are looked at to find the event files of a folder."""
