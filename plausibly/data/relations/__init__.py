"""Relations: how a column follows from others, found in training rows or said, a file each form."""
