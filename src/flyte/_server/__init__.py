"""The control plane: services over one scheduler, a store, and what runs attempts."""
