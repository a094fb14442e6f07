"""Who may do what, held against every route: the table is tests/authz.yaml."""
