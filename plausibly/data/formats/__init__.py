"""Rows as events, and events as the same rows."""
