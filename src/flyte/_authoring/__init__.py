"""What users declare: environments, tasks, and the settings of both.

Import from the modules: this package binds nothing, so that each program loads only what it names.
"""
