"""Sans-IO state machines of `secagg/1`: bytes in, messages out, no clock, no network."""
