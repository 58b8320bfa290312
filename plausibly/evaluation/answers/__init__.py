"""The quality of answers."""
