"""Log files of training runs, one reader a format. Knows no framework: what a file holds is told by its content."""
