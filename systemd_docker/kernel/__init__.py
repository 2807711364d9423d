"""Kernel interfaces, one per module: they raise OSError with the errno the kernel gave. No policy, no logging."""
