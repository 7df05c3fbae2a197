"""What downstream receives: one lane per target, attempts until delivered or dead."""
