"""Time of a pre-training step and of embedding, for every encoder."""
