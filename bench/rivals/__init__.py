"""What people would use otherwise, each a program of its own that fills the table of `people.sql` from a directory."""
