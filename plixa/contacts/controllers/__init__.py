"""Routes of contacts, labels and custom fields."""
