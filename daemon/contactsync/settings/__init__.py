"""The settings of an installation: settings.toml, overridden by environment variables CONTACTSYNC_*."""

from contactsync.settings.loader import FILE_VARIABLE, find_settings_file, load_settings
from contactsync.settings.schema import Settings

__all__ = ["FILE_VARIABLE", "Settings", "find_settings_file", "load_settings"]
