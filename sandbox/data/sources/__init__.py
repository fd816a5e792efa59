"""One file for each source of data: where it is from, how it is read, and what stands in for it."""
