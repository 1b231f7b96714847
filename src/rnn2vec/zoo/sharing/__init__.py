"""Zoos for others: cards, the hub, and the layout of the authors' release."""
