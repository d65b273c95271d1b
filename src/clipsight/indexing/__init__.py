"""Photos in: walk folders, decode files, and bring what is new into the catalog."""
