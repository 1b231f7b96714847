"""Training: checkpoints, metrics, and processes that train together."""
