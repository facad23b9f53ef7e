"""Readers and writers of the files RELION and Winnow share."""
