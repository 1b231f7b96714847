"""Prediction of properties of RNNs from their representations, and its scores (Section 6.2)."""
