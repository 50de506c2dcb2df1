"""Tests of reading weights of PyTorch."""
