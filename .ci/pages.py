"""The order of the Markdown pages, for the scripts that read all of them."""

import re


def numbers(name):
    """A key for sorting in the order of the course: page 10 follows page 9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(name))]
