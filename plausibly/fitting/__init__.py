"""Settings, fit, choose, compare, portfolio, ensemble, benchmark."""
