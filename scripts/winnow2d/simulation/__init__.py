"""Simulated particles with known truth: proteins, micrographs, noise, and the junk pickers deliver.

Everything drawn comes from generators seeded by (seed, purpose, number), so neither the number of
threads nor the order of the micrographs changes a byte.
"""
