"""Scripts that print a table; results are dated in log.md."""
