"""Registration, sign-in and tokens, through HTTP on real servers."""
