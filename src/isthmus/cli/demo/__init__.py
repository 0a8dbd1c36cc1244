"""`isthmus demo`: six sites, a hub, real patients, one study, and the same fit on the pooled rows beside it."""
