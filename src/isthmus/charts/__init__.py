"""L2: figures as plain data, drawn as SVG or text."""
