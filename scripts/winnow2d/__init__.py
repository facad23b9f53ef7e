"""2D classification and clean-up of cryo-EM particles, in RELION's files; the scripts of the workflow use it."""

__version__ = "0.3.0"
