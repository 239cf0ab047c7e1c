"""A model with an adapter that can be trained: its shape, its forward pass, its loss."""
