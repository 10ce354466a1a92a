"""The directory: what is typed to find it, how it is reached, how its answers are read and mapped."""
