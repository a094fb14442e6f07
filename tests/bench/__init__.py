"""What ``make bench`` runs: Plixa against programs as small as can be, on one machine, in one run."""
