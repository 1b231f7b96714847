"""Speed compared with the alternatives that a user has: `python -m benchmarks.zoo`, `python -m benchmarks.encoders`."""
