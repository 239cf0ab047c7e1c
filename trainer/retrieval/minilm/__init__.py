"""all-MiniLM-L6-v2 on this machine, with numpy alone: its tokenizer, its network and where its weights come from."""
