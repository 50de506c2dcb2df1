"""Models whose classes were taught from a few clips, on the features of another model."""
