"""L3: the agreement and what it admits."""
