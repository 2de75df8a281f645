"""Code bundles: the user's code, packed, content-addressed, unpacked where a task runs, and the task found in it."""
