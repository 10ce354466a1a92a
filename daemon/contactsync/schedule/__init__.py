"""Schedules: what people type, and when it is due.

APScheduler's CronTrigger is not used. It runs a daily 02:30 twice when clocks go back, and numbers the days of the week
from Monday. It ignores the step in `mon-fri/2`, and adds up jitter from run to run.
"""

from contactsync.schedule.parser import SCHEDULE_FORMS, parse_schedule
from contactsync.schedule.trigger import Timetable, last_due

__all__ = ["SCHEDULE_FORMS", "Timetable", "last_due", "parse_schedule"]
