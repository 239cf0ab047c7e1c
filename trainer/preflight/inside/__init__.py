"""What runs inside the environment that is asked about: only the standard library, and the packages under test.

These files are run by their paths, not as modules: the project's own environment must not leak into the other one.
"""
