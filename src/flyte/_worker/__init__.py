"""The process of one attempt under a control plane: the `a0` program."""
