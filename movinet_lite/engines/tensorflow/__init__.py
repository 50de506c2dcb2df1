"""Runs models with TensorFlow, as they are."""
