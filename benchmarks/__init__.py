"""Speed beside what a user would take instead: `python -m benchmarks.zoo`, `python -m benchmarks.encoders`."""
