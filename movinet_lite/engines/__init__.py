"""What computes: TensorFlow runs a SavedModel as it is, LiteRT a compiled model."""
