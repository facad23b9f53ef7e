"""Compiled loops over what is sparse: the significant poses of a particle. Everything dense is a matrix product.

They release the interpreter lock, visit pixels and poses in a fixed order, and never share a sum between
threads, so results do not depend on the number of threads.
"""
