"""Loops on real data, written as users would write them, and the lesson's; the command line's first TARGETs."""

from lrscout.examples.digits import digits
from lrscout.examples.line import line

__all__ = ["digits", "line"]
