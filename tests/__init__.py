"""Tests of Plixa, mirroring its tree."""
