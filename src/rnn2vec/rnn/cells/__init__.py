"""Recurrent cells: `base` is the contract, and each file holds one cell or two of a kind."""
