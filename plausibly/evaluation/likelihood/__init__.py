"""Numbers made of log p."""
