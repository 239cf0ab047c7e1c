"""The one settings file of an adapter: what is learned, from what, on what, and where it goes."""
