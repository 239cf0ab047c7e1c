"""Asking a model over HTTP, OpenAI's way: every wait, size and number of tries bounded, the key in one header only."""

from trainer.gate.chat.chats import Chats, Endpoint
from trainer.gate.chat.reply import Reply

__all__ = ["Chats", "Endpoint", "Reply"]
