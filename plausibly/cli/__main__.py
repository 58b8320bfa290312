"""`python -m plausibly.cli`."""

from plausibly.cli.commands import main

main()
