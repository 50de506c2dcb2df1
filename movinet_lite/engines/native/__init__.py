"""Runs stream models with machine code made for the CPU at hand."""
