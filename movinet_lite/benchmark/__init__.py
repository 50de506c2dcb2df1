"""Measures speed: the engines side by side, a soak test, a pipeline, and training."""
