"""An index over RNNs: who does the same, who does something unusual, which kinds are there."""
