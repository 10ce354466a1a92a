"""Other programs that fill the table of `people.sql` from a directory."""
