"""What people who work on contactsync call by make."""
