"""How audio files are built: the streams in them, and the signs that one is cut off."""
