"""How close samples are to rows."""
