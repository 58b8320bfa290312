"""One self-contained HTML page about fitted models: no scripts, nothing fetched from anywhere."""

from plausibly.report.page import write_report

__all__ = ["write_report"]
