"""From the registry to traffic: load an immutable name into the model server, warm it up, move the gateway's alias, let
the old one drain, unload it. What moves traffic is one step of the gateway's; before it nothing is lost."""
