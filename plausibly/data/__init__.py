"""The outside world <-> events: tables, arrays, folders of images and built-in toys."""

from plausibly.data.formats.format import Dataset, Events, Format, Truth
from plausibly.data.loading import load, load_rows

__all__ = ["Dataset", "Events", "Format", "Truth", "load", "load_rows"]
