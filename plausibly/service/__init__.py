"""Fitted runs behind HTTP: a process that answers requests, and a child for each run that computes."""
