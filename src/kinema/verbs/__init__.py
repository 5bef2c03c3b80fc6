"""What the command does, one function a verb; `kinema.cli` only parses and calls them."""
