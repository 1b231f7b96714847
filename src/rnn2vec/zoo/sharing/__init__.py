"""Sharing zoos: summaries, the Hugging Face hub, and the layout of the authors' release."""
