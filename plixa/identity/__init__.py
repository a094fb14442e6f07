"""Identity: who somebody is, by password and by token, and to which workspace they belong."""
