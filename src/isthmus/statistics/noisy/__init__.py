"""Variants of question kinds that answer with noise: every value that leaves a site is a whole number on a public grid."""
