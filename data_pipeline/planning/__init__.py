"""What each batch is: a function of the config and its number. Reads no audio for it."""
