"""What every dialect is translated to and from."""
