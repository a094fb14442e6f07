"""What is done with contacts, their labels and fields."""
