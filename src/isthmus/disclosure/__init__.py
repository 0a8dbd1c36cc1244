"""L2: disclosure rules and the one gate that makes a release."""
