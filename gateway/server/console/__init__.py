"""The console: what a token costs now on each path, as a page. Its own login, its own strict content policy.

`routes` is the way in; `sessions` who may look, `stream` one state a second for all who listen, `files` the page's own
files, `state` and `history` the figures.
"""
