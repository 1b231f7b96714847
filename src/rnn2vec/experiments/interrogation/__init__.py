"""The theory, on its own: function sets, and interrogators that find out which member they face (Section 3.1)."""
