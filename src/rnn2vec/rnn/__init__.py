"""The thing studied: architectures, stacks of RNNs, their symmetries, conversions and the black-box view."""
