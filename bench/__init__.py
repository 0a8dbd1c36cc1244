"""The timing table: Isthmus across processes, beside what people use on pooled rows. `make bench`, or `python -m bench --help`."""
