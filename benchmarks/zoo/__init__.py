"""Speed of training zoos, compared with the alternatives that a user has in the same run."""
