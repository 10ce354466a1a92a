"""The commands that decide about runs: approve, reject, cancel, undo."""
