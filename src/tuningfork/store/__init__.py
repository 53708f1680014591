"""What is kept on disk, named by its content."""
