"""Tables between tasks: how frames of several libraries are written, named by their content, and read as any other."""
