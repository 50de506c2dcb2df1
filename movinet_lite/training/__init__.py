"""From clips and labels to weights, and how good they are: `examples`, `fine_tune`, `evaluate`."""
