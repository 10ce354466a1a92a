"""`python -m contactsync`: the same as the command `contactsync`."""

from contactsync.cli import main

raise SystemExit(main())
