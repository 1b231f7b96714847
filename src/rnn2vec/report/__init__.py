"""The only plotting: figures, tables, and pages of one self-contained HTML file."""
