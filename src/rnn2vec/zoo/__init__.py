"""Model zoos: thousands of small trained RNNs with snapshots, rollouts and properties."""
