"""Wide MiniSlakh: many sounds and many arrangements, so that what is learned carries over."""

WIDE_VERSION = 6  # part of the name of every tree: raise it when wide songs or sounds change
