"""The explorer: a live page over a collection of RNNs, and the server behind it."""
