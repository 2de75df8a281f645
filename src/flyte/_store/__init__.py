"""The database of runs and actions: one SQLite file in the home folder, one writer thread a process."""
