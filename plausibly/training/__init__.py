"""The loop, the plan, and what a fit will take."""
