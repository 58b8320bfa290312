"""Files and frames, as rows and back."""
