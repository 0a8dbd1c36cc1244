"""L2: figures as plain data -> deterministic SVG, and a drawing for terminals."""
