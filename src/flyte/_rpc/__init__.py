"""What client, worker and server share of the wire."""
