"""Rows as models see them: kinds, schema, bins, moments."""
