"""RNNs of other frameworks: one file each, all through `arrays`, which knows what an order of gates is."""
