"""The outside world <-> events: tables, arrays, folders of images and built-in toys."""

from plausibly.data.dataset import Dataset, TrueDistribution
from plausibly.data.events import Events
from plausibly.data.formats.format import Format
from plausibly.data.loading import load, load_rows

__all__ = ["Dataset", "Events", "Format", "TrueDistribution", "load", "load_rows"]
