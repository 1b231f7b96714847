"""Run independent pieces of work side by side."""
