"""What people look at in a browser: the page as a file."""
