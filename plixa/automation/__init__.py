"""What Plixa does by itself when customers write: whom new conversations go to."""
