"""What is installed: the wheel, its programs and entry points, and where it can be imported."""
