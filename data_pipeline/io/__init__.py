"""Files of outside: audio, MIDI, and files that are whole or not there."""
