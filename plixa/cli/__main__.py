"""``python -m plixa.cli``: how ``plixa up`` starts its children, wherever the script lies."""

from plixa.cli import main

main()
