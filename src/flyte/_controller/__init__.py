"""Turning task calls into actions: the local engine, which runs them in the caller's process."""
