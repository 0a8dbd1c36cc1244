"""Artefacts of evidence: documents that a node makes of its own agreement, ledger and installation, for those it is owed to."""
