"""The hub's console: people look, by what their roles in the agreement allow. Nothing here decides or changes anything."""
