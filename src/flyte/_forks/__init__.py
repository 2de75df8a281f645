"""Fork servers: a process that has imported what attempts need, and forks one process an attempt."""
