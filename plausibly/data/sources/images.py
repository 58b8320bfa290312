"""Folders of images."""

from __future__ import annotations

from typing import Any

from plausibly.data.files.images import check_image_size, find_images, read_folder
from plausibly.data.files.tables import folder_fingerprint
from plausibly.data.formats.format import Format
from plausibly.data.sources.rows import ArrayRows
from plausibly.data.sources.source import FileSource


class ImageFolder(FileSource):
    """A folder of images, which are read as equally large ones."""

    settled = ()

    def fingerprint(self) -> str:
        return folder_fingerprint(self.path, find_images(self.path)[0])

    def read_rows(self, size: Any, labelled: bool) -> ArrayRows:
        found = read_folder(self.path, check_image_size(size))
        labels = self.labels() if labelled else None
        return ArrayRows(self.text, {"all": found.rows}, found.notes, found.depth, labels)

    def array(self) -> Any:
        return read_folder(self.path).rows

    def rows(self, format: Format) -> Any:
        if format.table:
            return self.frame()
        return read_folder(self.path, *format.container.image_form()).rows
