"""Builders that turn an `Image` into the software a task runs with: a virtual environment, or a Docker image."""
