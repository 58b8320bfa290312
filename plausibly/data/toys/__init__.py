"""Data at hand: digits, and toys of known distributions."""
