"""The rules of a commit, pure: on records in memory, without clock or I/O. For backends, which keep the records."""
