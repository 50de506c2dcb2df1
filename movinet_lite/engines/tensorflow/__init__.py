"""Runs models with TensorFlow, unconverted."""
