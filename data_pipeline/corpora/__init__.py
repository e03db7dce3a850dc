"""What the corpora hold: one file a corpus, their splits, downloads."""
