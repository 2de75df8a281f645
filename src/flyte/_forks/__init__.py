"""Processes for attempts: forked by a server that has imported what they need, or started afresh."""
