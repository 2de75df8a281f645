"""The services of the Flyte 2 protocol, one module each."""
