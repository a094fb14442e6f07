"""What the product's HTTP API must offer, and a program that compares."""
