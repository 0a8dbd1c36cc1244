"""L2: ring, mask streams, shares, keys and envelopes of `secagg/1`."""
