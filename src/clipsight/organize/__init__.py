"""Photos sorted into folders by label, and back again."""
