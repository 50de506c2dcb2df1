"""Shows predictions: curves over time, animations, overlays on video, a window, and tables in notebooks.

matplotlib is imported when something is drawn.
"""
