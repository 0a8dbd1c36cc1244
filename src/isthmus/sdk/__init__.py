"""L5: what researchers import."""
