"""The command line: parse, call a verb, print the result. Nothing is decided here."""
