"""What can go wrong with a model before its first step. No torch here: anyone may import it."""


class ModelError(ValueError):
    """This model cannot be trained as asked; the message says why and what to change."""


class ShapeError(ModelError):
    """`config.json` does not say what a shape needs."""
