"""Figures, Markdown tables and self-contained HTML pages; all plotting code is in this folder."""
