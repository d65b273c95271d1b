"""The operations behind the page and the API."""
