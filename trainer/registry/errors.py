"""What the registry refuses."""


class RegistryError(Exception):
    """A name or version that is not there, a lineage that cannot be read, or an adapter that is not whole."""
