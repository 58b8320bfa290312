"""Distributions over variables and latents."""
