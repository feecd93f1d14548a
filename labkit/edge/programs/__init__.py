"""Programs that run in the environment `edge`, on files that somebody handed in."""
