"""Measures speed: every way to run a model side by side, one stream for hours, and training."""
