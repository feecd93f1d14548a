"""Project 1, judged as a whole: a submission read, deployed, and put through one hour of a service's life."""
