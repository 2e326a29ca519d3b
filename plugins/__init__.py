"""The built-in plugins: one feature, one file or folder."""
