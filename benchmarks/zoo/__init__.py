"""How fast zoos are trained, beside what a user would take instead, in one run."""
