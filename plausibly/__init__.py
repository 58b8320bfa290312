"""Plausibly learns what data looks like, and tells how plausible anything is."""

__version__ = "0.1.0"
