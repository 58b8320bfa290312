"""Columns of tables: what they hold, and how it is written."""
