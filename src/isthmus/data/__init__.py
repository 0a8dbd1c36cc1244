"""L2: sources, codebook, expressions and design matrices."""
