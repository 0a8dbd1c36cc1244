"""L3: RFC 6962 tree, checkpoints, verification."""
