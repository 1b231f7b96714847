"""The paper's experiments; nothing but `report` and `cli` imports them."""
