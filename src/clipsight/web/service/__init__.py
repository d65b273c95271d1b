"""The operations that the page and the API share."""
