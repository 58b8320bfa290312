"""`python -m plausibly`."""

from plausibly.cli.commands import main

main()
