"""Loops on real data, written as users would write them; the command line's first TARGET."""

from lrscout.examples.digits import digits

__all__ = ["digits"]
