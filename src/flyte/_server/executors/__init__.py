"""What runs attempts."""
