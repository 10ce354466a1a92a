"""Schedules: what people type, and when it is due.

The instants are our own: with APScheduler's CronTrigger a daily 02:30 runs twice when the clock goes back, the days
of the week are numbered from Monday, `mon-fri/2` loses its step without a word, and jitter adds up from run to run.
"""

from contactsync.schedule.parse import SCHEDULE_FORMS, parse_schedule
from contactsync.schedule.trigger import Timetable, last_due

__all__ = ["SCHEDULE_FORMS", "Timetable", "last_due", "parse_schedule"]
