"""What all commands share: flags, errors, progress."""
