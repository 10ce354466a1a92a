"""How templates write values, in the words of people."""
