"""Runs compiled models with LiteRT, the fast engine."""
