"""Extraction: particles out of micrographs by their coordinates, and again at another size, as RELION's job does."""
