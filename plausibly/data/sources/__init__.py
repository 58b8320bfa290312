"""The one door for data: what rows come from, asked once, and the same methods of each."""
