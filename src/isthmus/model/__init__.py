"""L0: the vocabulary. Frozen records, canonical JSON, digests; no I/O, no arrays."""
