"""What is read of contacts, their labels and fields."""
