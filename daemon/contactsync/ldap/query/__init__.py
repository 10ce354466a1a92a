"""What people type to find a directory, parsed: addresses, URLs, filters, DNs, users. No I/O."""
