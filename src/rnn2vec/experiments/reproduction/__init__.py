"""The paper remade: every table and figure from studies, by one command, as data that reports draw from."""
