"""Runs stream models as machine code made for this CPU."""
