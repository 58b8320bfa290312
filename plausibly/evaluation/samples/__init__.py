"""The closeness of samples to rows."""
