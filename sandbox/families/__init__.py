"""Families of experiments: what those on texts, on pairs and on classes have in common, beside their corpora."""
