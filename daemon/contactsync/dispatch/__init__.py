"""When runs happen: the schedule, the queue and its workers, the live folders. What a run does is in sync/."""
