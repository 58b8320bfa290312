"""Machinery that the models of one family share."""
