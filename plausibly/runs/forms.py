"""Forms of run.json: this version writes one, opens all that a kept version wrote, and names the version for any other.

3: plausibly 0.1. 4: 0.2; tables keep what cells never seen cost, results their intervals, files their checksums. A run of an
earlier form has none of what came later, and its scores stay what they were.
"""

from __future__ import annotations

import re
from typing import Any

from plausibly.errors import UserError
from plausibly.system.versions import __version__

RECORD_FORM = 4
UNSEALED_FORM = 3  # without checksums of anything but the weights
FIRST_VERSIONS = {
    3: "0.1.0",
    4: "0.2.0",
}  # forms that are opened, and the first version that wrote each


def convert_document(document: dict[str, Any], where: object) -> dict[str, Any]:
    """The document of run.json in the present form. UserError where its form is none of those that are opened."""
    form = document["plausibly_run"]
    if not isinstance(form, int) or form not in FIRST_VERSIONS:
        raise UserError(f"{where} is of form {repr(form)[:20]}; {_advice(document, form)}")
    return {**document, "plausibly_run": RECORD_FORM}


def _advice(document: dict[str, Any], form: object) -> str:
    """Which version opens a record of another form."""
    opened = f"plausibly {__version__} opens forms {min(FIRST_VERSIONS)} to {RECORD_FORM}"
    if not isinstance(form, int) or form <= RECORD_FORM:
        return f"{opened}: fit anew"
    return f"{opened}: install {record_writer(document) or 'a later one'}, which wrote it"


def record_writer(document: dict[str, Any]) -> str:
    """The version that wrote a record, `plausibly 0.1.0`; nothing where it does not say."""
    versions = document.get("versions")
    said = str(versions.get("plausibly")) if isinstance(versions, dict) else ""
    return f"plausibly {said}" if re.fullmatch(r"\d[\w.+]{0,30}", said) else ""
