"""Parallel execution of independent pieces of work."""
