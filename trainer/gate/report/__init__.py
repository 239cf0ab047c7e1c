"""A gate's run for people: Markdown, and one HTML page that needs nothing else. What programs read is verdict.json."""
