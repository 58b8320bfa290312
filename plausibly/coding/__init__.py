"""Symbols as bytes, by the probabilities of a model."""
