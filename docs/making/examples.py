"""What griffe needs to know of the docstrings: they end with examples, which have no heading of their own."""

import griffe


class Examples(griffe.Extension):
    """Gives the examples of each docstring their heading, without which they would be read as quotations."""

    def on_object(self, *, obj, **kwargs):
        """Put the lines from the first example on into a section."""
        if obj.docstring is None:
            return
        lines = obj.docstring.value.splitlines()
        first = next((number for number, line in enumerate(lines) if line.startswith(">>>")), None)
        if first is not None:
            examples = ["Examples:", *(f"    {line}" for line in lines[first:])]
            obj.docstring.value = "\n".join([*lines[:first], *examples])
