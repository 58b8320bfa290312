"""A fitted model in a folder: record, run, board, models of users."""
