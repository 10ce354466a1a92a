"""When runs happen: the schedule, the queue and its workers. What a run does is in sync/."""
