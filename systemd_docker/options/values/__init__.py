"""One reader per kind of option value: text in, value or UsageError out. Pure."""
