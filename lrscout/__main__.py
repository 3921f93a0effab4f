"""Lets `python -m lrscout` do what `lrscout` does."""

from lrscout.cli.app import main

main(prog_name="lrscout")
