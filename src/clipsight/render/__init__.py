"""Results for people and programs: tables, pictures, pages."""
