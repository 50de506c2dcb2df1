"""Training and evaluation on labelled videos: `examples`, `fine_tune`, `evaluate`."""
