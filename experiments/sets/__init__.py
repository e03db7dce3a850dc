"""One config per file: `base` holds every field, each set changes only what it must."""
